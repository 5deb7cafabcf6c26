"""COCO's average precision by pycocotools, from files to the twelve numbers. It has one thread."""
import contextlib
import io
import os

try:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval
except ImportError:
    # The other workloads need no pycocotools.
    COCO = COCOeval = None


class Evaluation:
    variants = [["pycocotools"]]
    folder = None

    def __init__(self, tensors, variant):
        if COCO is None:
            raise SystemExit("pycocotools is missing: pip install pycocotools")

    def stats(self, part):
        file = lambda name: os.path.join(self.folder, part, name)
        with contextlib.redirect_stdout(io.StringIO()):
            truth = COCO(file("gt.json"))
            evaluation = COCOeval(truth, truth.loadRes(file("dt.json")), "bbox")
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        return evaluation.stats.tolist()

    def check(self):
        return self.stats("few")

    def run(self):
        self.stats("all")


WORKLOADS = {"coco bbox eval 5000 images x100": Evaluation}
