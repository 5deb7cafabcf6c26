"""Makes the pictures of this folder from the packages that carry the drawings:

    npm pack @iconify-json/noto-v1@1.2.5          (and so on, as in ARCHIVES)
    pip install Pillow==13.0.0 resvg_py==0.5.0
    python make.py FOLDER_OF_ARCHIVES OUT

For every vendor, `VENDOR.png` holds its pictures of 64×64 below each other, drawn on white; `names.txt` says which they are,
a line a picture: `vendor/class/codepoint`. An emoji that a vendor never drew is left out.
"""

import hashlib
import io
import json
import sys
import tarfile
from pathlib import Path

import resvg_py
from PIL import Image

SIZE = 64

# What each archive must be, so that anybody gets the same pictures again.
ARCHIVES = {
    "google": (
        "emoji-datasource-google-16.0.0.tgz",
        "fb5fd131b362aab7a55542d2a147a79708cce0a8b1c1bbacd470172708b5c438",
    ),
    "twitter": (
        "emoji-datasource-twitter-16.0.0.tgz",
        "f64a530c63bca463bd8317fdc4615ce63a53a0c65018e4ce2d848aaba7a28877",
    ),
    "noto-v1": (
        "iconify-json-noto-v1-1.2.5.tgz",
        "2bf62c26c2c2884aa99e90aec942cdaee17a5921f05690694f4978ad4b017c37",
    ),
    "fluent-flat": (
        "iconify-json-fluent-emoji-flat-1.2.6.tgz",
        "7d064769dee690815f823bc5bcc511d957198caf9f5edd8dd9c1aa48a6aeb175",
    ),
    "emojione": (
        "iconify-json-emojione-1.2.3.tgz",
        "26a14f44284407e8bcde91799388dca2bfd91dbcd55a97f425524a1c5b73610e",
    ),
}

# The expressions: Unicode's code points, and the names of Unicode's CLDR, by which the sets of SVG call their icons.
# Older names must not be used: `grinning face with smiling eyes` was 1f601 once and is 1f604 now.
CLASSES = {
    "happy": {
        "1f600": "grinning-face",
        "1f603": "grinning-face-with-big-eyes",
        "1f604": "grinning-face-with-smiling-eyes",
        "1f601": "beaming-face-with-smiling-eyes",
        "1f606": "grinning-squinting-face",
        "1f602": "face-with-tears-of-joy",
        "1f923": "rolling-on-the-floor-laughing",
        "1f60a": "smiling-face-with-smiling-eyes",
        "1f642": "slightly-smiling-face",
        "1f607": "smiling-face-with-halo",
        "263a-fe0f": "smiling-face",
        "1f929": "star-struck",
        "1f973": "partying-face",
    },
    "sad": {
        "1f622": "crying-face",
        "1f62d": "loudly-crying-face",
        "1f614": "pensive-face",
        "1f61e": "disappointed-face",
        "1f641": "slightly-frowning-face",
        "2639-fe0f": "frowning-face",
        "1f61f": "worried-face",
        "1f97a": "pleading-face",
        "1f979": "face-holding-back-tears",
        "1f625": "sad-but-relieved-face",
    },
    "surprise": {
        "1f62e": "face-with-open-mouth",
        "1f62f": "hushed-face",
        "1f632": "astonished-face",
        "1f633": "flushed-face",
        "1f92f": "exploding-head",
        "1fae2": "face-with-open-eyes-and-hand-over-mouth",
    },
    "fear": {
        "1f628": "fearful-face",
        "1f630": "anxious-face-with-sweat",
        "1f631": "face-screaming-in-fear",
        "1f627": "anguished-face",
    },
    "anger": {
        "1f620": "angry-face",
        "1f621": "pouting-face",
        "1f624": "face-with-steam-from-nose",
        "1f92c": "face-with-symbols-on-mouth",
        "1f608": "smiling-face-with-horns",
        "1f47f": "angry-face-with-horns",
    },
    "disgust": {
        "1f922": "nauseated-face",
        "1f92e": "face-vomiting",
        "1f616": "confounded-face",
        "1f623": "persevering-face",
        "1f974": "woozy-face",
        "1fae4": "face-with-diagonal-mouth",
    },
    "neutral": {
        "1f610": "neutral-face",
        "1f611": "expressionless-face",
        "1f636": "face-without-mouth",
        "1f612": "unamused-face",
        "1f644": "face-with-rolling-eyes",
        "1f62c": "grimacing-face",
        "1f910": "zipper-mouth-face",
    },
}


def archive(folder, vendor):
    name, expected = ARCHIVES[vendor]
    data = (folder / name).read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != expected:
        sys.exit(f"{name}: sha256 is {found}, expected {expected}")
    return tarfile.open(fileobj=io.BytesIO(data), mode="r:gz")


def drawings(folder, vendor):
    """A function from code point and name to a picture with its alpha channel, or None."""
    tar = archive(folder, vendor)
    if vendor in ("google", "twitter"):
        prefix = f"package/img/{vendor}/64/"
        pictures = {m.name.removeprefix(prefix): tar.extractfile(m).read() for m in tar if m.name.startswith(prefix)}
        return lambda point, _: pictures.get(f"{point}.png")

    icons = json.load(tar.extractfile("package/icons.json"))

    def draw(_, name):
        icon = icons["icons"].get(name)
        if icon is None:
            return None
        left, top = icon.get("left", 0), icon.get("top", 0)
        width, height = icon.get("width", icons["width"]), icon.get("height", icons["height"])
        box = f"{left} {top} {width} {height}"
        svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" width="{SIZE}" height="{SIZE}">{icon["body"]}</svg>'
        return bytes(resvg_py.svg_to_bytes(svg_string=svg, width=SIZE, height=SIZE))

    return draw


def main():
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    names = []
    for vendor in ARCHIVES:
        draw = drawings(folder, vendor)
        pictures = []
        for label, points in CLASSES.items():
            for point, name in points.items():
                drawing = draw(point, name)
                if drawing is None:
                    print(f"{vendor} has no {point} {name}")
                    continue
                drawing = Image.open(io.BytesIO(drawing)).convert("RGBA")
                assert drawing.size == (SIZE, SIZE), (vendor, point, drawing.size)
                picture = Image.new("RGBA", drawing.size, "white")
                picture.alpha_composite(drawing)
                pictures.append(picture.convert("RGB"))
                names.append(f"{vendor}/{label}/{point}")
        strip = Image.new("RGB", (SIZE, SIZE * len(pictures)))
        for i, picture in enumerate(pictures):
            strip.paste(picture, (0, SIZE * i))
        strip.save(out / f"{vendor}.png", optimize=True)
    (out / "names.txt").write_text("\n".join(names) + "\n")


if __name__ == "__main__":
    main()
