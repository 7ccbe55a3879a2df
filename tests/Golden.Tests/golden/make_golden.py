#!/usr/bin/env python3
"""Makes the golden values of the op cases and of the small GPT with PyTorch (1.13 or newer, CPU, double precision).
Run it in this folder; it writes ops.json and gpt.json. No build or test needs it."""
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


run()
gpt()
