"""What independent readers make of annotations: `expected.json`, and the map and the COCO file that are read.

    pip install numpy==2.4.6 pillow==13.0.0 pycocotools==2.0.11
    python make_readers.py

Pascal VOC's XML by Python's own parser, boxes of an instance map by NumPy, COCO by its own API.
"""

import contextlib
import io
import json
import pathlib
import xml.etree.ElementTree as ElementTree

import numpy as np
from PIL import Image
from pycocotools.coco import COCO

HERE = pathlib.Path(__file__).parent


def voc(path):
    root = ElementTree.parse(path).getroot()
    text = lambda node, tag: (node.findtext(tag) or "").strip()
    size = [int(root.findtext(f"size/{side}")) for side in ("height", "width")]
    return {
        "filename": text(root, "filename"),
        "size": size if all(size) else None,
        "objects": [
            {
                "name": text(node, "name"),
                "bndbox": [float(node.findtext(f"bndbox/{edge}")) for edge in ("xmin", "ymin", "xmax", "ymax")],
                "is_difficult": text(node, "difficult") == "1",
                "is_truncated": text(node, "truncated") == "1",
                "pose": text(node, "pose"),
            }
            for node in root.findall("object")
        ],
    }


def instance_map():
    """Instances that touch, overlap in their boxes, are in pieces or one pixel, at every border; groups; roads and sky."""
    values = np.full((48, 64), 7, np.uint16)
    values[:12] = 23
    values[0, :5] = 0
    values[20:30, 0:10] = 26000
    values[20:30, 10:16] = 26001
    values[25:40, 12:14] = 24000
    values[10:12, 50:64] = 26
    values[47, 63] = 33007
    values[0, 63] = 28000
    values[40, 20:24] = values[44, 40:44] = 27003
    values[30:33, 30:50] = 33
    values[35:38, 55:60] = 29001
    values[5:9, 30:33] = 31000
    values[6:8, 31:32] = 32012
    values[13:19, 40:45] = 25999
    return values


def instances(values):
    found = []
    for value in np.unique(values[values > 0]).tolist():
        rows, columns = np.nonzero(values == value)
        bbox = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        found.append({"id": value, "bbox": [int(edge) for edge in bbox], "area": len(rows)})
    return found


def coco_file():
    """Ids with gaps and out of order, fractions, a crowd, an image without objects, keys that no detector needs."""
    boxes = [
        (9, 7, 18, [10.25, 4.5, 30.5, 20.0], 0, 410.125),
        (3, 2, 1, [0, 0, 40, 30], 0, 1200),
        (4, 2, 90, [5.5, 6.25, 1.01, 2.02], 0, 2.0),
        (12, 7, 1, [1, 2, 60, 40], 1, 900.5),
    ]
    keys = ("id", "image_id", "category_id", "bbox", "iscrowd", "area")
    annotations = [dict(zip(keys, box), segmentation=[[1, 2, 3, 4, 5, 6]]) for box in boxes]
    annotations[3]["segmentation"] = {"size": [48, 64], "counts": [0, 100, 2972]}
    return {
        "info": {"year": 2017},
        "licenses": [],
        "images": [
            {"id": 7, "file_name": "000000000007.png", "height": 48, "width": 64, "license": 1, "coco_url": "u"},
            {"id": 2, "file_name": "000000000002.png", "height": 30, "width": 40},
            {"id": 11, "file_name": "000000000011.png", "height": 5, "width": 6},
        ],
        "annotations": annotations,
        "categories": [
            {"id": 90, "name": "toothbrush", "supercategory": "indoor"},
            {"id": 1, "name": "person", "supercategory": "person"},
            {"id": 18, "name": "dog", "supercategory": "animal"},
        ],
    }


def coco(path):
    with contextlib.redirect_stdout(io.StringIO()):
        api = COCO(path)
    categories = sorted(api.getCatIds())
    images = []
    for image in api.loadImgs(sorted(api.getImgIds())):
        objects = [
            {
                "label": categories.index(annotation["category_id"]),
                "xywh": annotation["bbox"],
                "is_crowd": bool(annotation["iscrowd"]),
                "area": annotation["area"],
            }
            for annotation in api.loadAnns(api.getAnnIds(imgIds=image["id"]))
        ]
        images.append({"id": image["id"], "name": image["file_name"], "objects": objects})
    return {"categories": categories, "classes": [c["name"] for c in api.loadCats(categories)], "images": images}


def main():
    values = instance_map()
    Image.fromarray(values).save(HERE / "instances.png")
    (HERE / "coco.json").write_text(json.dumps(coco_file()) + "\n")
    expected = {
        "voc": {path.name: voc(path) for path in sorted((HERE / "annotations").glob("*.xml"))},
        "instances": instances(np.array(Image.open(HERE / "instances.png"))),
        "coco": coco(HERE / "coco.json"),
    }
    (HERE / "expected.json").write_text(json.dumps(expected) + "\n")


main()
