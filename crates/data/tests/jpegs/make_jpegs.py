#!/usr/bin/env python3
"""Write JPEG files of kinds that Pillow cannot write, and beside each what Pillow 13 decodes it to.

    python make_jpegs.py OUT_DIR

Every kind is the same picture of 37×29 pixels: a small sequential encoder writes it with any sampling factors, any order of scans,
restart intervals, and with what cameras and editors note beside it. NAME.jpg.png is `Image.open(file).convert("RGB")`, or that of
`ImageOps.exif_transpose` for the files `exif-*`, which are of other formats too.
"""
import math, os, struct, sys, zlib
from PIL import Image, ImageOps

out = sys.argv[1]
WIDTH, HEIGHT = 37, 29
ZIGZAG = sorted(range(64), key=lambda i: (i // 8 + i % 8, i // 8 if (i // 8 + i % 8) % 2 else i % 8))
QUANTA = [2 + (i // 8 + i % 8) // 2 for i in range(64)]
# The numbers of codes of 1 to 16 bits, and what they mean: the AC table is not a short one.
DC = ([0, 1, 5, 1, 1, 1, 1, 1, 1] + [0] * 7, list(range(12)))
AC = ([0] * 7 + [162] + [0] * 8, [0x00, 0xF0] + [run << 4 | size for size in range(1, 11) for run in range(16)])


def codes(table):
    """The code and its length of each value (T.81, annex C)."""
    counts, values = table
    found, code, at = {}, 0, 0
    for length, count in enumerate(counts, 1):
        for value in values[at : at + count]:
            found[value] = (code, length)
            code += 1
        at += count
        assert code <= 1 << length
        code <<= 1
    assert at == len(values)
    return found


DC_CODES, AC_CODES = codes(DC), codes(AC)


class Bits:
    def __init__(self):
        self.bytes, self.value, self.n = bytearray(), 0, 0

    def put(self, value, n):
        self.value, self.n = self.value << n | value, self.n + n
        while self.n >= 8:
            self.n -= 8
            byte = self.value >> self.n & 255
            self.bytes += bytes([byte, 0]) if byte == 255 else bytes([byte])

    def flush(self):
        if self.n:
            self.put((1 << 8 - self.n) - 1, 8 - self.n)


COSINES = [[math.cos((2 * x + 1) * u * math.pi / 16) * (math.sqrt(0.125) if u == 0 else 0.5) for x in range(8)] for u in range(8)]


def transformed(block):
    rows = [[sum(row[x] * COSINES[u][x] for x in range(8)) for u in range(8)] for row in block]
    both = [[sum(rows[y][u] * COSINES[v][y] for y in range(8)) for u in range(8)] for v in range(8)]
    return [round(both[i // 8][i % 8] / QUANTA[i]) for i in range(64)]


def number(value):
    """The category of a number, and its bits."""
    size = abs(value).bit_length()
    return size, value if value >= 0 else value + (1 << size) - 1


def put_block(bits, block, before):
    size, extra = number(block[0] - before)
    bits.put(*DC_CODES[size])
    bits.put(extra, size)
    run = 0
    for i in ZIGZAG[1:]:
        if block[i] == 0:
            run += 1
            continue
        while run > 15:
            bits.put(*AC_CODES[0xF0])
            run -= 16
        size, extra = number(block[i])
        bits.put(*AC_CODES[run << 4 | size])
        bits.put(extra, size)
        run = 0
    if run:
        bits.put(*AC_CODES[0])
    return block[0]


def segment(marker, data):
    return struct.pack(">BBH", 255, marker, len(data) + 2) + data


def table(kind, table):
    return segment(0xC4, bytes([kind]) + bytes(table[0]) + bytes(table[1]))


class Component:
    def __init__(self, plane, id, sampling, largest):
        """`plane(x, y)` is 0 to 255; means of the pixels that a sample stands for."""
        self.id, (self.h, self.v) = id, sampling
        (hmax, vmax) = largest
        self.width, self.height = math.ceil(WIDTH * self.h / hmax), math.ceil(HEIGHT * self.v / vmax)
        self.units = (math.ceil(WIDTH / 8 / hmax), math.ceil(HEIGHT / 8 / vmax))
        self.columns, self.rows = self.units[0] * self.h, self.units[1] * self.v
        sx, sy = hmax / self.h, vmax / self.v

        def sample(x, y):
            x, y = min(x, self.width - 1), min(y, self.height - 1)
            xs = range(int(x * sx), max(int(x * sx) + 1, int((x + 1) * sx)))
            ys = range(int(y * sy), max(int(y * sy) + 1, int((y + 1) * sy)))
            values = [plane(min(i, WIDTH - 1), min(j, HEIGHT - 1)) for j in ys for i in xs]
            return sum(values) / len(values) - 128

        self.blocks = [
            [transformed([[sample(8 * column + x, 8 * row + y) for x in range(8)] for y in range(8)]) for column in range(self.columns)]
            for row in range(self.rows)
        ]

    def own_blocks(self):
        """Those of a scan of its own, which has none that are outside of the image."""
        for row in range(math.ceil(self.height / 8)):
            for column in range(math.ceil(self.width / 8)):
                yield [self.blocks[row][column]]

    def of_unit(self, unit):
        y, x = divmod(unit, self.units[0])
        return [self.blocks[y * self.v + j][x * self.h + i] for j in range(self.v) for i in range(self.h)]


def scan(components, restart):
    data = bytes([len(components)]) + b"".join(bytes([c.id, 0]) for c in components) + bytes([0, 63, 0])
    bits, before = Bits(), [0] * len(components)
    if len(components) == 1:
        units = [[blocks] for blocks in components[0].own_blocks()]
    else:
        n = components[0].units[0] * components[0].units[1]
        units = [[c.of_unit(unit) for c in components] for unit in range(n)]
    for i, unit in enumerate(units):
        if restart and i and i % restart == 0:
            bits.flush()
            bits.bytes += bytes([255, 0xD0 + (i // restart - 1) % 8])
            before = [0] * len(components)
        for k, blocks in enumerate(unit):
            for block in blocks:
                before[k] = put_block(bits, block, before[k])
    bits.flush()
    return segment(0xDA, data) + bytes(bits.bytes)


def jpeg(planes, samplings, ids=None, scans=None, marker=0xC0, restart=0, notes=b"", between=b"", frame_again=False):
    """`scans` are lists of places among `planes`; `notes` are segments in front, `between` bytes before the frame."""
    ids = ids or list(range(1, len(planes) + 1))
    largest = (max(h for h, _ in samplings), max(v for _, v in samplings))
    if len(planes) == 1:
        largest = samplings[0] = (1, 1) if samplings[0] == (1, 1) else samplings[0]
    components = [Component(plane, id, sampling, largest) for plane, id, sampling in zip(planes, ids, samplings)]
    frame = struct.pack(">BHHB", 8, HEIGHT, WIDTH, len(planes)) + b"".join(bytes([c.id, c.h << 4 | c.v, 0]) for c in components)
    frame = segment(marker, frame)
    data = b"\xFF\xD8" + notes + segment(0xDB, bytes([0] + [QUANTA[i] for i in ZIGZAG]))
    data += between + frame * (2 if frame_again else 1) + table(0x00, DC) + table(0x10, AC)
    if restart:
        data += segment(0xDD, struct.pack(">H", restart))
    for places in scans or [list(range(len(planes)))]:
        data += scan([components[place] for place in places], restart)
    return data + b"\xFF\xD9"


def picture(x, y):
    """Colours that change slowly, with an edge."""
    edge = 40 if (x - 20) ** 2 + (y - 12) ** 2 < 60 else 0
    return min(255, 30 + 5 * x + edge), min(255, 60 + 6 * y), max(0, 220 - 3 * x - 2 * y - edge)


def luma_chroma(x, y):
    r, g, b = picture(x, y)
    luma = 0.299 * r + 0.587 * g + 0.114 * b
    return luma, 128 + 0.564 * (b - luma), 128 + 0.713 * (r - luma)


def planes(of, n):
    return [lambda x, y, k=k: of(x, y)[k] for k in range(n)]


YCC, RGB = planes(luma_chroma, 3), planes(picture, 3)
JFIF = segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0")


def adobe(transform):
    return segment(0xEE, b"Adobe\0\x64\0\0\0\0" + bytes([transform]))


def exif(orientation, order="<"):
    """A directory with one entry before the orientation."""
    head = b"II*\0" if order == "<" else b"MM\0*"
    entries = struct.pack(order + "HHII", 0x0100, 4, 1, WIDTH) + struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    return head + struct.pack(order + "IH", 8, 2) + entries + struct.pack(order + "I", 0)


def save(name, data, upright=False):
    path = os.path.join(out, name)
    with open(path, "wb") as file:
        file.write(data)
    image = Image.open(path)
    image = ImageOps.exif_transpose(image) if upright else image
    image.convert("RGB").save(path + ".png", optimize=True)


ONE = [(1, 1)] * 3
for name, luma in [("420", (2, 2)), ("422", (2, 1)), ("440", (1, 2)), ("411", (4, 1)), ("444", (1, 1))]:
    save(f"scans-{name}.jpg", jpeg(YCC, [luma, (1, 1), (1, 1)], scans=[[0], [1], [2]], notes=JFIF))
    save(f"one-scan-{name}.jpg", jpeg(YCC, [luma, (1, 1), (1, 1)], notes=JFIF))
save("scans-chroma-first.jpg", jpeg(YCC, [(2, 2), (1, 1), (1, 1)], scans=[[2], [1], [0]], notes=JFIF))
save("scans-luma-and-chroma.jpg", jpeg(YCC, [(2, 2), (1, 1), (1, 1)], scans=[[0], [1, 2]], notes=JFIF))
save("scans-restarts.jpg", jpeg(YCC, [(2, 1), (1, 1), (1, 1)], scans=[[0], [1], [2]], restart=3, notes=JFIF))
save("restarts-420.jpg", jpeg(YCC, [(2, 2), (1, 1), (1, 1)], restart=2, notes=JFIF))
save("luma-halved.jpg", jpeg(YCC, [(1, 1), (2, 2), (2, 2)], notes=JFIF))
save("luma-columns-halved.jpg", jpeg(YCC, [(1, 1), (2, 1), (1, 1)], notes=JFIF))
save("luma-scans-halved.jpg", jpeg(YCC, [(1, 2), (2, 1), (1, 1)], scans=[[0], [1], [2]], notes=JFIF))
save("chroma-unequal.jpg", jpeg(YCC, [(2, 2), (2, 1), (1, 2)], notes=JFIF))
save("all-twice.jpg", jpeg(YCC, [(2, 1)] * 3, notes=JFIF))
save("extended.jpg", jpeg(YCC, [(2, 2), (1, 1), (1, 1)], marker=0xC1, notes=JFIF))
save("rgb-adobe.jpg", jpeg(RGB, ONE, notes=adobe(0)))
save("rgb-ids.jpg", jpeg(RGB, ONE, ids=[ord(c) for c in "RGB"]))
save("rgb-ids-jfif.jpg", jpeg(YCC, ONE, ids=[ord(c) for c in "RGB"], notes=JFIF))
save("rgb-adobe-scans.jpg", jpeg(RGB, [(2, 2), (1, 1), (1, 1)], scans=[[0], [1], [2]], notes=adobe(0)))
save("ycc-adobe-ids.jpg", jpeg(YCC, ONE, ids=[5, 9, 200], notes=adobe(1)))
save("ycc-zero-ids.jpg", jpeg(YCC, ONE, ids=[0, 1, 2]))
save("ycc-bare.jpg", jpeg(YCC, [(2, 2), (1, 1), (1, 1)]))
save("gray-sampled.jpg", jpeg(YCC[:1], [(2, 2)], notes=JFIF))
save("gray-sampled-restarts.jpg", jpeg(YCC[:1], [(2, 1)], notes=JFIF, restart=2))
inverted = lambda of, n: [lambda x, y, k=k: 255 - (of(x, y) + (40 + x,))[k] for k in range(n)]
save("cmyk-adobe-scans.jpg", jpeg(inverted(picture, 4), [(1, 1)] * 4, scans=[[0], [1], [2], [3]], notes=adobe(0)))
save("cmyk-adobe-420.jpg", jpeg(inverted(picture, 4), [(2, 2), (1, 1), (1, 1), (2, 2)], notes=adobe(0)))
save("ycck-adobe-420.jpg", jpeg(YCC + [lambda x, y: 200 - x], [(2, 2), (1, 1), (1, 1), (2, 2)], notes=adobe(2)))
save("cmyk-bare.jpg", jpeg(inverted(picture, 4), [(1, 1)] * 4))
save("stray-bytes.jpg", jpeg(YCC, [(2, 2), (1, 1), (1, 1)], notes=JFIF, between=b"\x12\x34"))
save("stray-fill.jpg", jpeg(YCC, [(2, 2), (1, 1), (1, 1)], notes=JFIF, between=b"\x12\xFF\x00\xFF\xFF\xFF"))

rgb = Image.frombytes("RGB", (WIDTH, HEIGHT), bytes(v for y in range(HEIGHT) for x in range(WIDTH) for v in picture(x, y)))
for name, subsampling, options in [("420", 2, {}), ("422", 1, {}), ("420-restarts", 2, {"restart_marker_blocks": 3})]:
    path = os.path.join(out, f"progressive-{name}.jpg")
    rgb.save(path, quality=92, subsampling=subsampling, progressive=True, **options)
    save(f"progressive-{name}.jpg", open(path, "rb").read())

for orientation in range(1, 9):
    order = "<>"[orientation % 2]
    note = segment(0xE1, b"Exif\0\0" + exif(orientation, order))
    save(f"exif-{orientation}.jpg", jpeg(YCC, [(2, 2), (1, 1), (1, 1)], notes=note), upright=True)
small = Image.frombytes("RGB", (5, 3), bytes(range(45)))
small.save(os.path.join(out, "exif-6.webp"), lossless=True, exif=b"Exif\0\0" + exif(6))
save("exif-6.webp", open(os.path.join(out, "exif-6.webp"), "rb").read(), upright=True)
small.save(os.path.join(out, "exif-5.PNG"), exif=b"Exif\0\0" + exif(5))
save("exif-5.PNG", open(os.path.join(out, "exif-5.PNG"), "rb").read(), upright=True)
