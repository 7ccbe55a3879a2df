#!/usr/bin/env python3
"""Makes the golden values of the op cases and of the small GPT with PyTorch (1.13 or newer, CPU, double precision).
Run it in this folder; it writes ops.json, gpt.json and optimizers.json. No build or test needs it."""
import json
import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)


def att(q, k, v, causal, scale=None):
    scale = scale or q.shape[-1] ** -0.5
    scores = q @ k.transpose(-1, -2) * scale
    if causal:
        s, t = scores.shape[-2:]
        scores = scores.masked_fill(torch.ones(s, t).tril(t - s) == 0, float("-inf"))
    return torch.softmax(scores, -1) @ v


def rope(x, theta):
    positions, width = x.shape[-2:]
    angle = torch.arange(positions)[:, None] * theta ** (-2.0 * torch.arange(width // 2) / width)
    a, b = x[..., : width // 2], x[..., width // 2 :]
    return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1)


def mixed(x, shared, layers):
    for _ in range(layers):
        x = torch.tanh(x * shared + x)
    return x


CASES = {
    "Arithmetic": ({'a': [4, 5], 'b': [5], 'c': [4, 5]}, lambda a, b: (a+b)*(a-b)/(b**2+1.5)-2*a+(1-b)+(-a)),
    "BroadcastMiddle": ({'a': [2, 1, 5], 'b': [3, 1], 'c': [2, 3, 5]}, lambda a, b: a*b+b),
    "MatMulPlain": ({'a': [5, 7], 'b': [7, 3], 'c': [5, 3]}, lambda a, b: a@b),
    "MatMulShared": ({'a': [2, 3, 5], 'b': [5, 4], 'c': [2, 3, 4]}, lambda a, b: a@b),
    "MatMulBatched": ({'a': [2, 3, 4], 'b': [2, 4, 5], 'c': [2, 3, 5]}, lambda a, b: a@b),
    "MatMulTransposedRight": ({'a': [2, 3, 5], 'b': [4, 5], 'c': [2, 3, 4]}, lambda a, b: a@b.t()),
    "MatMulTransposedBoth": ({'a': [2, 5, 3], 'b': [2, 4, 5], 'c': [2, 3, 4]}, lambda a, b: a.transpose(-1,-2)@b.transpose(-1,-2)),
    "LinearBias": ({'a': [3, 5], 'b': [5, 17], 'd': [17], 'c': [3, 17]}, lambda a, b, d: a@b+d),
    "GeluTanhForm": ({'a': [3, 19], 'c': [3, 19]}, lambda a: F.gelu(3*a,approximate="tanh")),
    "GeluErfForm": ({'a': [3, 19], 'c': [3, 19]}, lambda a: F.gelu(3*a)),
    "ReluFunction": ({'a': [3, 7], 'c': [3, 7]}, lambda a: F.relu(a)),
    "SiluFunction": ({'a': [3, 7], 'c': [3, 7]}, lambda a: F.silu(a)),
    "SigmoidFunction": ({'a': [3, 7], 'c': [3, 7]}, lambda a: torch.sigmoid(a)),
    "TanhFunction": ({'a': [3, 7], 'c': [3, 7]}, lambda a: torch.tanh(2*a)),
    "ExpFunction": ({'a': [3, 7], 'c': [3, 7]}, lambda a: torch.exp(a)),
    "LogFunction": ({'a': [3, 7], 'c': [3, 7]}, lambda a: torch.log(a**2+0.5)),
    "SqrtFunction": ({'a': [3, 7], 'c': [3, 7]}, lambda a: torch.sqrt(a**2+0.5)),
    "SoftmaxRows": ({'a': [3, 21], 'c': [3, 21]}, lambda a: torch.softmax(a,-1)),
    "LogSoftmaxRows": ({'a': [3, 21], 'c': [3, 21]}, lambda a: torch.log_softmax(a,-1)),
    "LayerNormRows": ({'a': [5, 19], 'b': [19], 'd': [19], 'c': [5, 19]}, lambda a, b, d: F.layer_norm(a,(19,),b,d,1e-5)),
    "RmsNormRows": ({'a': [5, 19], 'b': [19], 'c': [5, 19]}, lambda a, b: a*torch.rsqrt((a**2).mean(-1,keepdim=True)+1e-6)*b),
    "ReshapePermute": ({'a': [4, 6], 'c': [3, 2, 2, 2]}, lambda a: a.reshape(2,2,3,2).permute(2,0,3,1)),
    "TransposeDims": ({'a': [2, 3, 4], 'c': [4, 3, 2]}, lambda a: a.transpose(0,2)),
    "SliceMiddle": ({'a': [3, 7], 'c': [3, 3]}, lambda a: a[:,2:5]),
    "ConcatParts": ({'a': [3, 2], 'b': [3, 5], 'c': [3, 9]}, lambda a, b: torch.cat([a,b,a],1)),
    "SharedByTwoStacks": ({'a': [3, 5], 'b': [3, 5], 'c': [3, 5]}, lambda a, b: mixed(a, b, 5) * b),
    "StackParts": ({'a': [3, 2], 'b': [3, 2], 'c': [3, 2, 2]}, lambda a, b: torch.stack([a,b],1)),
    "SumDim": ({'a': [3, 4, 5], 'c': [3, 5]}, lambda a: a.sum(1)),
    "SumKept": ({'a': [3, 4, 5], 'c': [3, 4, 1]}, lambda a: a.sum(2,keepdim=True)),
    "MeanDim": ({'a': [3, 4, 5], 'c': [4, 5]}, lambda a: a.mean(0)),
    "MaxDim": ({'a': [3, 4, 5], 'c': [3, 5]}, lambda a: a.amax(1)),
    "MinDim": ({'a': [3, 4, 5], 'c': [3, 4]}, lambda a: a.amin(2)),
    "MaximumMinimum": ({'a': [3, 5], 'b': [3, 5], 'c': [3, 5]}, lambda a, b: torch.maximum(a,b)-2*torch.minimum(a,b)),
    "WhereCondition": ({'a': [3, 5], 'b': [3, 5], 'c': [3, 5]}, lambda a, b: torch.where(a>b,a*b,a-b)),
    "RopeRotation": ({'a': [2, 3, 5, 6], 'c': [2, 3, 5, 6]}, lambda a: rope(a,100.0)),
    "AttentionPlain": ({'a': [2, 3, 7, 5], 'b': [2, 3, 9, 5], 'd': [2, 3, 9, 5], 'c': [2, 3, 7, 5]}, lambda a, b, d: att(a,b,d,False)),
    "AttentionCausal": ({'a': [2, 2, 37, 8], 'b': [2, 2, 37, 8], 'd': [2, 2, 37, 8], 'c': [2, 2, 37, 8]}, lambda a, b, d: att(a,b,d,True)),
    "AttentionGrouped": ({'a': [2, 4, 11, 4], 'b': [2, 2, 11, 4], 'd': [2, 2, 11, 4], 'c': [2, 4, 11, 4]}, lambda a, b, d: att(a,b.repeat_interleave(2,1),d.repeat_interleave(2,1),True,0.3)),
    "AttentionLong": ({'a': [1, 1, 150, 4], 'b': [1, 1, 150, 4], 'd': [1, 1, 150, 4], 'c': [1, 1, 150, 4]}, lambda a, b, d: att(a,b,d,True)),
    "EmbeddingRows": ({'a': [7, 5], 'c': [6, 5]}, lambda a: F.embedding(torch.arange(6),a)),
    "SplitParts": ({'a': [3, 6], 'c': [3, 6]}, lambda a: torch.cat([a[:,4:6],a[:,0:2],a[:,2:4]],1)),
    "UserFunction": ({'a': [3, 7], 'b': [3, 7], 'c': [3, 7]}, lambda a, b: torch.where(a>0,a*torch.exp(-b*b),torch.sin(a)*b)),
}

# Cases with inputs: the loss is the function's own, a mean where the op yields one. Inputs are drawn as (shape, highest) for integers, (shape, None) for floats.
WITH_INPUTS = {
    "CrossEntropyMean": ({'a': [7, 37]}, {'targets': ([7], 37)}, lambda a, targets: F.cross_entropy(a, targets)),
    "CrossEntropyIgnored": ({'a': [4, 5, 23]}, {'targets': ([4, 5], 23)},
                            lambda a, targets: F.cross_entropy(a.reshape(-1, 23), targets.reshape(-1), ignore_index=3)),
    "CrossEntropyWeighted": ({'a': [6, 13]}, {'targets': ([6], 13), 'weights': ([6], None)},
                             lambda a, targets, weights: (F.cross_entropy(a, targets, reduction="none") * weights).sum() / weights.sum()),
    "EmbeddingRepeated": ({'a': [5, 9], 'c': [4, 6, 9]}, {'ids': ([4, 6], 5)}, lambda a, c, ids: (F.embedding(ids, a) * c).sum()),
    "AttentionSegments": ({'a': [2, 3, 11, 4], 'b': [2, 3, 11, 4], 'd': [2, 3, 11, 4], 'c': [2, 3, 11, 4]}, {'segments': ([2, 11], 3)},
                          lambda a, b, d, c, segments: (segmented(a, b, d, segments.sort(-1).values) * c).sum()),
}


def segmented(q, k, v, segments):
    scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
    s = scores.shape[-1]
    visible = (torch.ones(s, s).tril() == 1) & (segments[:, :, None] == segments[:, None, :])[:, None]
    return torch.softmax(scores.masked_fill(~visible, float("-inf")), -1) @ v


def numbers(tensor):
    return [float(v) for v in tensor.to(torch.float32).reshape(-1).tolist()]


def run():
    golden = {}
    torch.manual_seed(1)
    for name, (shapes, function) in CASES.items():
        values = {k: torch.randn(s).to(torch.float32).to(torch.float64).requires_grad_() for k, s in shapes.items()}
        operands = [values[k] for k in shapes if k != "c"]
        loss = (function(*operands) * values["c"]).sum()
        loss.backward()
        golden[name] = {
            "parameters": {k: numbers(v.detach()) for k, v in values.items()},
            "loss": float(loss),
            "gradients": {k: numbers(v.grad) for k, v in values.items()},
        }
    torch.manual_seed(3)
    for name, (shapes, drawn, function) in WITH_INPUTS.items():
        values = {k: torch.randn(s).to(torch.float32).to(torch.float64).requires_grad_() for k, s in shapes.items()}
        inputs = {k: torch.randint(0, high, s) if high else torch.rand(s).to(torch.float32).to(torch.float64) + 0.5 for k, (s, high) in drawn.items()}
        if "segments" in inputs:
            inputs["segments"] = inputs["segments"].sort(-1).values
        loss = function(*values.values(), *inputs.values())
        loss.backward()
        golden[name] = {
            "inputs": {k: {"shape": list(v.shape), "values": v.reshape(-1).tolist() if v.dtype == torch.int64 else numbers(v)} for k, v in inputs.items()},
            "parameters": {k: numbers(v.detach()) for k, v in values.items()},
            "loss": float(loss),
            "gradients": {k: numbers(v.grad) for k, v in values.items()},
        }
    with open("ops.json", "w") as file:
        json.dump(golden, file, separators=(",", ":"))


def gpt():
    """GoldenGpt of the tests: two blocks, tied embedding, ignored targets, a weight for each token."""
    torch.manual_seed(2)
    vocab, hidden, heads, layers, context, batch = 19, 12, 3, 2, 9, 4
    p = {"tokens.weight": torch.randn(vocab, hidden) * 0.3, "positions.weight": torch.randn(context, hidden) * 0.3,
         "norm.scale": 1 + torch.randn(hidden) * 0.1, "norm.shift": torch.randn(hidden) * 0.1}
    for i in range(layers):
        b = f"blocks.{i}."
        for n in ("attentionNorm", "feedForwardNorm"):
            p[b + n + ".scale"] = 1 + torch.randn(hidden) * 0.1
            p[b + n + ".shift"] = torch.randn(hidden) * 0.1
        for n in ("query", "key", "value", "output"):
            p[b + "attention." + n] = torch.randn(hidden, hidden) * 0.3
        p[b + "feedForward.up"] = torch.randn(hidden, 4 * hidden) * 0.3
        p[b + "feedForward.down"] = torch.randn(4 * hidden, hidden) * 0.3
    p = {k: v.to(torch.float32).to(torch.float64).requires_grad_() for k, v in p.items()}
    ids = torch.randint(0, vocab, (batch, context))
    targets = torch.randint(0, vocab, (batch, context))
    targets[0, 3:] = -100   # uneven counts over rows, and so over micro-batches
    targets[2, ::2] = -100
    weights = torch.rand(batch, context).to(torch.float32).to(torch.float64) + 0.5
    x = p["tokens.weight"][ids] + p["positions.weight"]
    for i in range(layers):
        b = f"blocks.{i}."
        h = F.layer_norm(x, (hidden,), p[b + "attentionNorm.scale"], p[b + "attentionNorm.shift"], 1e-5)
        split = lambda t: t.reshape(batch, context, heads, hidden // heads).transpose(1, 2)
        a = att(split(h @ p[b + "attention.query"]), split(h @ p[b + "attention.key"]), split(h @ p[b + "attention.value"]), True)
        x = x + a.transpose(1, 2).reshape(batch, context, hidden) @ p[b + "attention.output"]
        h = F.layer_norm(x, (hidden,), p[b + "feedForwardNorm.scale"], p[b + "feedForwardNorm.shift"], 1e-5)
        x = x + F.gelu(h @ p[b + "feedForward.up"], approximate="tanh") @ p[b + "feedForward.down"]
    x = F.layer_norm(x, (hidden,), p["norm.scale"], p["norm.shift"], 1e-5)
    logits = x @ p["tokens.weight"].t()
    each = F.cross_entropy(logits.reshape(-1, vocab), targets.reshape(-1), ignore_index=-100, reduction="none").reshape(batch, context)
    counted = weights * (targets != -100)
    loss = (each * weights).sum() / counted.sum() + 0.01 * (p["norm.scale"] ** 2).sum() / counted.sum()
    loss.backward()
    with open("gpt.json", "w") as file:
        json.dump({"ids": ids.reshape(-1).tolist(), "targets": targets.reshape(-1).tolist(), "weights": numbers(weights), "loss": float(loss),
                   "parameters": {k: numbers(v.detach()) for k, v in p.items()}, "gradients": {k: numbers(v.grad) for k, v in p.items()}}, file, separators=(",", ":"))


def optimizers():
    """OptimizerModel of the tests: five steps of each optimizer, decay on the matrix alone, the gradient clipped where the name says so.
    AdamW has a large epsilon: with a small one it would magnify the rounding of gradients near zero."""
    settings = {
        "Sgd": lambda groups: torch.optim.SGD(groups, lr=0.05),
        "Momentum": lambda groups: torch.optim.SGD(groups, lr=0.05, momentum=0.8),
        "Nesterov": lambda groups: torch.optim.SGD(groups, lr=0.05, momentum=0.8, nesterov=True),
        "AdamW": lambda groups: torch.optim.AdamW(groups, lr=0.02, betas=(0.8, 0.95), eps=1e-3),
    }
    golden = {}
    torch.manual_seed(4)
    start = {"matrix": torch.randn(6, 10), "bias": torch.randn(10), "x": torch.randn(8, 6)}
    start = {k: v.to(torch.float32).to(torch.float64) for k, v in start.items()}
    targets = torch.randint(0, 10, (8,))
    targets[1] = targets[6] = targets[7] = -100  # five of eight rows count: a mean whose weight is neither 1 nor even over ranks and micro-batches
    for name, make in settings.items():
        for clip in (0.0, 0.3):
            p = {k: start[k].clone().requires_grad_() for k in ("matrix", "bias")}
            optimizer = make([{"params": [p["matrix"]], "weight_decay": 0.1}, {"params": [p["bias"]], "weight_decay": 0.0}])
            losses, norms = [], []
            for _ in range(5):
                optimizer.zero_grad()
                loss = F.cross_entropy(3 * torch.tanh(start["x"] @ p["matrix"] + p["bias"]), targets)
                loss.backward()
                norms.append(float(torch.nn.utils.clip_grad_norm_(p.values(), clip if clip else float("inf"))))
                losses.append(float(loss))
                optimizer.step()
            golden[name + ("Clipped" if clip else "")] = {"losses": losses, "norms": norms, "final": {k: numbers(v.detach()) for k, v in p.items()}}
    with open("optimizers.json", "w") as file:
        json.dump({"start": {k: numbers(v) for k, v in start.items()}, "targets": targets.tolist(), "runs": golden}, file, separators=(",", ":"))


run()
gpt()
optimizers()
