#!/usr/bin/env python3
"""Write small image files, and beside each what Pillow 13 decodes it to.

    python make_images.py OUT_DIR

NAME.EXTENSION is the file, NAME.EXTENSION.png is `Image.open(file).convert("RGB")`.
"""
import os, struct, sys
from PIL import Image

out = sys.argv[1]


def pattern(width, height, channels):
    """The pattern of the unit tests."""
    return bytes((x * 37 + y * 91 + k * 53 + x * y * 7) % 256 for y in range(height) for x in range(width) for k in range(channels))


def write(name, data):
    path = os.path.join(out, name)
    with open(path, "wb") as file:
        file.write(data)
    Image.open(path).convert("RGB").save(path + ".png", optimize=True)


def save(name, image, **options):
    path = os.path.join(out, name)
    image.save(path, **options)
    with open(path, "rb") as file:
        write(name, file.read())


rgb = Image.frombytes("RGB", (23, 17), pattern(23, 17, 3))
smooth = Image.frombytes("RGB", (23, 17), bytes(v for y in range(17) for x in range(23) for v in (x * 11, y * 15, 255 - x * 5 - y * 7)))
gray = Image.frombytes("L", (23, 17), pattern(23, 17, 1))
rgba = Image.frombytes("RGBA", (23, 17), pattern(23, 17, 4))
bits = gray.point(lambda v: 255 * (v > 127)).convert("1")

save("lossy.webp", smooth, quality=80)
save("lossy-noisy.webp", rgb, quality=60)
save("lossy-alpha.webp", rgba, quality=75)
save("lossless.webp", rgb, lossless=True)
save("lossless-alpha.webp", rgba, lossless=True, exact=True)
save("animated.webp", rgb, save_all=True, append_images=[smooth], lossless=True)
save("rgb.bmp", rgb)
save("gray.bmp", gray)
save("alpha.bmp", rgba)
save("palette.bmp", rgb.quantize(13))
save("bits.bmp", bits)
# Runs, which Pillow reads and does not write: 5 times 1, the values 2 3 4, the end of the row; 8 times 5, the end.
runs = bytes([5, 1, 0, 3, 2, 3, 4, 0, 0, 0, 8, 5, 0, 0, 0, 1])
palette = b"".join(bytes([30 * i, 255 - 20 * i, 7 * i, 0]) for i in range(6))
offset = 14 + 40 + len(palette)
header = struct.pack("<2sIHHI", b"BM", offset + len(runs), 0, 0, offset)
header += struct.pack("<IiiHHIIiiII", 40, 8, 2, 1, 8, 1, len(runs), 0, 0, 6, 6)
write("runs.bmp", header + palette + runs)
save("rgb.ppm", rgb)
save("gray.pgm", gray)
save("bits.pbm", bits)
text = lambda values: " ".join(map(str, values))
write("plain.pbm", b"P1\n# a comment\n5 3\n1 0 1 0 1\n00110\n1 1 1 1 0\n")
write("plain.pgm", f"P2 4 2 255\n{text(pattern(4, 2, 1))}\n".encode())
write("plain.ppm", f"P3\n3 2\n255\n{text(pattern(3, 2, 3))}\n".encode())
write("maximum-100.pgm", f"P5 4 2 100\n".encode() + bytes([0, 1, 33, 50, 67, 99, 100, 12]))

# JPEG: grey, halved colours, progressive, and the four colours of a printer, which Adobe writes inverted; as they are, and
# (by the byte that says so) as luma and chroma beside black.
cmyk = Image.frombytes("CMYK", (23, 17), bytes(v for y in range(17) for x in range(23) for v in (x * 11, y * 15, 255 - x * 5 - y * 7, x * 3 + y * 5)))
save("gray.jpg", smooth.convert("L"), quality=95)
save("halved.jpg", smooth, quality=95, subsampling=2)
save("progressive.jpg", smooth, quality=95, subsampling=0, progressive=True)
save("cmyk.jpg", cmyk, quality=95, subsampling=0)
with open(os.path.join(out, "cmyk.jpg"), "rb") as file:
    data = bytearray(file.read())
data[data.index(b"Adobe") + 11] = 2
write("ycck.jpg", bytes(data))
