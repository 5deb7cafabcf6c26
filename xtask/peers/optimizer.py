"""Steps of optimisers."""
import torch

LR = 0.01


def sgd(parameters, implementation):
    return torch.optim.SGD(parameters, LR, momentum=0.9, **({implementation: True} if implementation else {}))


class SgdStep:
    variants = [["foreach"], ["fused"], [None]]

    def __init__(self, tensors, variant):
        self.parameters = [torch.nn.Parameter(tensors[name]) for name in sorted(tensors)]
        for p in self.parameters:
            p.grad = p.detach().clone()
        self.optimizer = sgd(self.parameters, variant[0])

    def run(self):
        self.optimizer.step()

    def check(self):
        states = []
        for _ in range(3):
            self.run()
            states.append(sum(p.detach().double().square().mean().item() for p in self.parameters) / len(self.parameters))
        return states


WORKLOADS = {"sgd step resnet18": SgdStep, "sgd step resnet50": SgdStep}
