# Copyright The Wattle Authors. SPDX-License-Identifier: Apache-2.0
"""Writes loss_scale.json: the scales of PyTorch's GradScaler, and a training with it in FP16 factors. See README.md."""

import json
import random

import generate_rounded
import torch

STEPS = 14
PEAK_RATE = 3e-3
CLIP_NORM = 0.5
WEIGHT_DECAY = 0.1


def follow(initial, growth_interval, steps, overflows):
    """What steps whose gradients overflow, or not, do to the scale and to the number of good steps in a row: [step, scale, good steps] of each
    step that did not just add a good one."""
    scaler = torch.amp.GradScaler("cpu", init_scale=initial, growth_interval=growth_interval)
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=0.0)
    changes, good_steps = [], 0
    for step in range(1, steps + 1):
        scaler.scale(torch.zeros(()))  # makes the scaler's state
        weight.grad = torch.tensor([float("inf") if step in overflows else 1.0])
        scaler.step(optimizer)
        scaler.update()
        good_steps += 1
        if scaler.state_dict()["_growth_tracker"] != good_steps:
            good_steps = scaler.state_dict()["_growth_tracker"]
            changes.append([step, scaler.get_scale(), good_steps])
    return {"initial": initial, "growth_interval": growth_interval, "steps": steps, "overflows": overflows, "changes": changes}


def random_overflows(seed, steps, share):
    draw = random.Random(seed)
    return [step for step in range(1, steps + 1) if draw.random() < share]


def train(initial, growth_interval):
    """Steps of AdamW on the batch of llama_tiny. The rate follows the number of the step, also where a step was skipped."""
    torch.manual_seed(0)
    generate_rounded.FACTORS = torch.float16
    model, golden, labels = generate_rounded.tiny_model_and_batch()
    matrices = [parameter for parameter in model.parameters() if parameter.dim() > 1]
    vectors = [parameter for parameter in model.parameters() if parameter.dim() == 1]
    optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": vectors, "weight_decay": 0.0}])
    scaler = torch.amp.GradScaler("cpu", init_scale=initial, growth_interval=growth_interval)
    losses, scales = [], []
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = PEAK_RATE * (1 - step / STEPS)
        optimizer.zero_grad()
        loss = model(input_ids=golden["tokens"], labels=labels).loss
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)
        scaler.step(optimizer)
        scaler.update()
        losses.append(loss.item())
        scales.append(scaler.get_scale())
    return {"initial": initial, "growth_interval": growth_interval, "peak_rate": PEAK_RATE, "clip_norm": CLIP_NORM, "weight_decay": WEIGHT_DECAY,
            "losses": losses, "scales": scales}


def main():
    sequences = [follow(65536.0, 3, 60, random_overflows(1, 60, 0.25)), follow(4096.0, 1, 40, random_overflows(2, 40, 0.5)),
                 follow(65536.0, 2000, 4500, [2000]), follow(2.0**126, 1, 3, [])]
    training = train(2.0**22, 3)
    print("losses", training["losses"], "scales", training["scales"])
    golden = {"torch": torch.__version__, "sequences": sequences, "training": training}
    (generate_rounded.HERE / "loss_scale.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
