"""Losses."""
import torch
import torch.nn.functional as F

from differentiable import Differentiable


class InfoNce(Differentiable):
    """As in MoCo's `builder.py` and `main_moco.py`."""

    by = ["q"]

    def forward(self, q, k, queue):
        l_pos = torch.einsum("nc,nc->n", q, k).unsqueeze(-1)
        l_neg = torch.einsum("nc,ck->nk", q, queue)
        logits = torch.cat([l_pos, l_neg], dim=1)
        logits /= 0.07
        return F.cross_entropy(logits, torch.zeros(len(q), dtype=torch.long))


WORKLOADS = {"info_nce 256x65536x128 forward+backward": InfoNce}
