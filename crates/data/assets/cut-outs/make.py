"""Makes the pictures of this folder from the packages that carry the drawings:

    apt-get download openclipart-png              (any mirror of Debian 12 or 13)
    npm pack @iconify-json/noto-v1@1.2.5          (and so on, as in ARCHIVES)
    pip install Pillow==13.0.0 resvg_py==0.5.0
    python make.py FOLDER_OF_ARCHIVES OUT

For every source, `SOURCE.png` holds its cut-outs below each other: RGBA, cells of 64×64, each cut-out in the upper left corner
of its cell, cut to what is at least half opaque and not larger than 64. `names.txt` says which they are, a line a cell:
`source/class/name width height`. An emoji that a vendor never drew is left out.

Of the clipart, pictures were chosen by eye: one whole object of the class, no background, no text, nobody's logo.
"""

import hashlib
import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import resvg_py
from PIL import Image

SIZE = 64

# What each archive must be, so that anybody gets the same pictures again.
ARCHIVES = {
    "clipart": (
        "openclipart-png_1%3a0.18+dfsg-19_all.deb",
        "f07f1545a2970c2cf3fa339bc2405da1a95cf2b1827bfa05bf73eb1c20291c02",
    ),
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

CLASSES = ["bird", "insect", "mammal", "fruit", "flower"]

# The folder below `png` in the package, and the files there, without `.png`.
CLIPART = {
    "bird": (
        "animals/birds",
        """
        acquila_architetto_franc_01 acquila_architetto_franc_02 acquila_architetto_franc_03
        aquila_frontale_architet_01 baby_tux_01 bird_of_peace_mauro_oliv_01 cigno_architetto_frances_01
        cigno_di_spalle_architet_01 cormorant-md crow_01 dove_symbol duck_yellow_kurt_cagle_
        emperor_penguin_ralf_ste_01 flamand_jean-victor_bali_01 gabbiano_architetto_fran_01
        gallo_di_profilo_archite_01 gufo_civetta_architetto__01 gull_marcelo_staudt_01 hen_01 jonathon_s_duck_01
        manager_mimooh_01 new_penguin_charles_mcco_01 owl_on_branch_ganson penguin/plush_tux_anita_01
        penguin/tux_clemente_01 pollo_architetto_frances_01 puffin-md rooster_01 simbolo_egizio_architett_01
        tacchino_architetto_fran_01 uccello_bianco_e_nero_ar_01 uccello_profilo_01_archi_01
        uccello_profilo_02_archi_01
        """,
    ),
    "insect": (
        "animals/bugs",
        """
        abeille_tanguy_jacq_01 ant bee bee1_mimooh_01 bee3_mimooh_01 bug_nicu_buculei_01 butterfly_jonathan_dietr_01
        butterfly_jonvdveen_01 c_rollandin_francesco_ar_01 cavalletta_architetto_fr_01 coccinella_architetto_fr_01
        coccinella_rollandin_arc_01 coccinellona_architetto__01 farfalla_butterfly_fra1 farfalla_contorno_archit_01
        farfalla_semplice_archit_01 farfalla_stilizzata_arch_01 fly_01 flying_wasp_gerald_g._01
        formichina_architetto_fr_01 formicona_architetto_fra_01 grass_hopper_02 insetto_architetto_franc_01 ladybug_01
        ladybug_02 libellula_architetto_fra_01 libellule_tanguy_jacq_01 mante_religieuse_01
        mantide_religiosa_archit_01 moschito_architetto_fran_01 moschito_stecchito_archi_01
        mostriciattolo2_architet_01 punaisa_01 zanzara_architetto_franc_01
        """,
    ),
    "mammal": (
        "animals/mammals",
        """
        a_simple_pig_01 angry_monkey_benji_park_01 bears/bear_peterm_01 bears/orso_architetto_francesc_01
        bears/orso_architetto_francesc_02 bears/orso_architetto_francesc_03 bears/orso_architetto_francesc_04
        big_cats/color_tiger_susan_park_01 big_cats/leone_01_architetto_fran_01 big_cats/leone_02_architetto_fran_01
        big_cats/tiger_graig_ryan_smith_-_01 big_cats/tigre01_architetto_franc_01 big_cats/tigre02_architetto_franc_01
        big_cats/tigre03_architetto_franc_01 big_cats/tigre04_architetto_franc_01 big_cats/tigre05_architetto_franc_01
        camel_head_01 canguro_architetto_franc_01 cartoon_cat_gerald_g._01 cartoon_squirrel_mike_sm1
        coniglio_architetto_fran_01 contour_elephant contour_fox contour_giraffe contour_kangaroo
        dog_01_drawn_with_strai_01 dog_03_drawn_with_strai_01 dog_04_drawn_with_strai_01 dog_05_drawn_with_strai_01
        dog_06_drawn_with_strai_01 dog_on_leash_gerald_g._01 dogs/beagle_copper_ganson
        dogs/bobi_architetto_francesc_01 dogs/bored_dog_01 dolphin dolphin_enrique_meza_c_01
        elefante01_architetto_fr_01 elefante02_architetto_fr_01 goat_nicu_buculei_01
        horses/cavallo_architetto_franc_01 horses/cavallo_architetto_franc_02 horses/cavallo_architetto_franc_04
        horses/cavallo_architetto_franc_05 horses/cavallo_architetto_franc_06 housecats/gatto_cat_architetto_fra_01
        housecats/gatto_cat_architetto_fra_03 housecats/gatto_cat_architetto_fra_04 housecats/kitten_gerald_g._01
        pecora_architetto_france_01 pig_marcelo_caiafa1 porcinet_01 raccoon_ganson rhinoceros_3d_architetto_01
        rhinoceros_architetto_fr_01 sheep-md-v0.1 simple_stylized_wolf_he_01 stylized_wolf_head_geral_01
        vacca_pezzata_rossa_val_01
        """,
    ),
    "fruit": (
        "food/fruit",
        """
        an_apple_01 another_apple_01 apple apple_bitten_dan_gerhard_01 apple_martin_schmidt-li_01r apple_wedge applf
        banana bananas_nicu_buculei_01 cherries cherry_jean_victor_balin_ cherry_jonathan_dietrich_01 grape_01
        grapes_01 grapes_simple green_pear_01 la_prugna_architetto_fra_01 lemon lemon1 lemon_half_ganson lemon_simple
        lemon_slice_ganson lemon_wedge_ganson lemon_whole_ganson lime_half_ganson lime_slice_ganson lime_wedge_ganson
        lime_whole_ganson melon_goneri_le_bouder_01 orange orange_dave_pena_01 orange_simple
        orange_slice_jonathan_di_01 orange_wedge pasteque_01 peach_simple pear pear_02 pear_simple
        pera_architetto_francesc_01 pesca_architetto_frances_01 pineapple prune rondelle_d_orange_01 strawberry
        strawberry_01 strawberry_jonathan_diet_01 strawberry_simple watermelon_james_kilfige_01 watermelon_simple
        """,
    ),
    "flower": (
        "plants/flowers",
        """
        daffodil_jonathan_dietri_01 daffodil_susan_park_01 daisy_jonathan_dietrich_01 fiore_01 flower1_juliane_krug_01
        flower2_juliane_krug_01 flower_01 flower_02 flower_03 flower_peterm_01 flowerandpot_daniel_ste_r
        flowers_jonathan_dietric_01 funnyflower_02 geranium_ganson lotas_yogesh_kanitkar_01
        magnolia_white_patricia__01 mazzo_di_fiori_architett_01 red_flower_01 red_flower_raphael_seban_01 sakura_01
        sakura_dave_pena_01 tulips_ganson
        """,
    ),
}

# Unicode's code points, and the names of Unicode's CLDR, by which the sets of SVG call their icons.
EMOJI = {
    "bird": """
        1f413 rooster, 1f414 chicken, 1f423 hatching-chick, 1f424 baby-chick, 1f425 front-facing-baby-chick, 1f426 bird,
        1f427 penguin, 1f54a-fe0f dove, 1f983 turkey, 1f985 eagle, 1f986 duck, 1f989 owl, 1f99a peacock, 1f99c parrot,
        1f9a2 swan, 1f9a4 dodo, 1f9a9 flamingo, 1fabf goose
        """,
    "insect": """
        1f41b bug, 1f41c ant, 1f41d honeybee, 1f41e lady-beetle, 1f98b butterfly, 1f997 cricket, 1f99f mosquito, 1fab0 fly,
        1fab2 beetle, 1fab3 cockroach
        """,
    "mammal": """
        1f400 rat, 1f402 ox, 1f404 cow, 1f405 tiger, 1f406 leopard, 1f407 rabbit, 1f408 cat, 1f40e horse, 1f40f ram,
        1f411 ewe, 1f412 monkey, 1f415 dog, 1f416 pig, 1f418 elephant, 1f428 koala, 1f429 poodle, 1f42b two-hump-camel,
        1f43c panda, 1f43f-fe0f chipmunk, 1f981 lion, 1f987 bat, 1f98a fox, 1f98c deer, 1f98d gorilla, 1f98f rhinoceros,
        1f992 giraffe, 1f993 zebra, 1f994 hedgehog, 1f998 kangaroo, 1f999 llama, 1f99b hippopotamus, 1f99d raccoon,
        1f9a1 badger, 1f9a5 sloth, 1f9a6 otter, 1f9a8 skunk
        """,
    "fruit": """
        1f347 grapes, 1f348 melon, 1f349 watermelon, 1f34a tangerine, 1f34b lemon, 1f34c banana, 1f34d pineapple,
        1f34e red-apple, 1f34f green-apple, 1f350 pear, 1f351 peach, 1f352 cherries, 1f353 strawberry, 1f95d kiwi-fruit,
        1f965 coconut, 1f96d mango, 1fad0 blueberries
        """,
    "flower": """
        1f337 tulip, 1f338 cherry-blossom, 1f339 rose, 1f33a hibiscus, 1f33b sunflower, 1f33c blossom, 1f490 bouquet,
        1f940 wilted-flower, 1fab7 lotus, 1fabb hyacinth
        """,
}


def checked(folder, source):
    """The path of an archive, whose bytes are the ones that are meant."""
    name, expected = ARCHIVES[source]
    found = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    if found != expected:
        sys.exit(f"{name}: sha256 is {found}, expected {expected}")
    return folder / name


def clipart(folder):
    """Class, name and picture with its alpha channel."""
    data = subprocess.run(["dpkg-deb", "--fsys-tarfile", checked(folder, "clipart")], check=True, capture_output=True).stdout
    tar = tarfile.open(fileobj=io.BytesIO(data))
    for label in CLASSES:
        below, names = CLIPART[label]
        for name in names.split():
            file = tar.extractfile(f"./usr/share/openclipart/png/{below}/{name}.png")
            yield label, name.split("/")[-1], Image.open(file).convert("RGBA")


def vendor_emoji(folder, vendor):
    """Class, code point and picture with its alpha channel."""
    draw = drawings(checked(folder, vendor), vendor)
    for label in CLASSES:
        for entry in EMOJI[label].split(","):
            point, name = entry.split()
            drawing = draw(point, name)
            if drawing is None:
                print(f"{vendor} has no {point} {name}")
            else:
                yield label, point, Image.open(io.BytesIO(drawing)).convert("RGBA")


def drawings(path, vendor):
    """A function from code point and name to the bytes of a picture, or None."""
    tar = tarfile.open(path, mode="r:gz")
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


def cell(picture):
    """The picture in a corner of a cell, and its width and height there."""
    opaque = picture.getchannel("A").point(lambda a: 255 if a >= 128 else 0)
    picture = picture.crop(opaque.getbbox())
    scale = min(1.0, SIZE / max(picture.size))
    if scale < 1.0:
        size = [max(1, round(side * scale)) for side in picture.size]
        picture = picture.resize(size, Image.Resampling.BOX, reducing_gap=None)
    # What cannot be seen has no colour: it would only take space.
    visible = picture.getchannel("A").point(lambda a: 255 if a > 0 else 0)
    clean = Image.new("RGBA", (SIZE, SIZE))
    clean.paste(picture, (0, 0), visible)
    return clean, picture.size


def main():
    Image.MAX_IMAGE_PIXELS = None  # some of the clipart is drawn large
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    lines = []
    for source in ARCHIVES:
        pictures = clipart(folder) if source == "clipart" else vendor_emoji(folder, source)
        cells = []
        for label, name, picture in pictures:
            picture, (width, height) = cell(picture)
            cells.append(picture)
            lines.append(f"{source}/{label}/{name} {width} {height}")
        strip = Image.new("RGBA", (SIZE, SIZE * len(cells)))
        for i, picture in enumerate(cells):
            strip.paste(picture, (0, SIZE * i))
        strip.save(out / f"{source}.png", optimize=True)
    (out / "names.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
