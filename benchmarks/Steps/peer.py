"""The models of the step benchmark in PyTorch eager, fp32: reads commands `step N`, runs N steps, answers with the seconds of one step.

usage: peer.py layers hidden heads vocabulary context batch threads wall|processor
"""
import sys
import time

import torch
import torch.nn.functional as F

layers, hidden, heads, vocabulary, context, batch, threads = map(int, sys.argv[1:8])
clock = time.process_time if sys.argv[8] == "processor" else time.perf_counter
torch.set_num_threads(threads)
torch.manual_seed(0)


class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = torch.nn.LayerNorm(hidden), torch.nn.LayerNorm(hidden)
        self.qkv = torch.nn.Linear(hidden, 3 * hidden, bias=False)
        self.output = torch.nn.Linear(hidden, hidden, bias=False)
        self.up = torch.nn.Linear(hidden, 4 * hidden, bias=False)
        self.down = torch.nn.Linear(4 * hidden, hidden, bias=False)

    def forward(self, x, mask):
        b, t, _ = x.shape
        q, k, v = (p.view(b, t, heads, hidden // heads).transpose(1, 2) for p in self.qkv(self.norm1(x)).split(hidden, 2))
        if hasattr(F, "scaled_dot_product_attention"):
            attended = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            scores = (q @ k.transpose(2, 3)) * (hidden // heads) ** -0.5
            attended = F.softmax(scores.masked_fill(mask, float("-inf")), 3) @ v
        x = x + self.output(attended.transpose(1, 2).reshape(b, t, hidden))
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))


class Gpt(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens, self.positions = torch.nn.Embedding(vocabulary, hidden), torch.nn.Embedding(context, hidden)
        self.blocks = torch.nn.ModuleList(Block() for _ in range(layers))
        self.norm = torch.nn.LayerNorm(hidden)
        for p in self.parameters():
            if p.dim() > 1:
                torch.nn.init.normal_(p, std=0.02)
        self.register_buffer("mask", torch.ones(context, context).triu(1).bool())

    def forward(self, ids, targets):
        x = self.tokens(ids) + self.positions.weight
        for block in self.blocks:
            x = block(x, self.mask)
        return F.cross_entropy((self.norm(x) @ self.tokens.weight.t()).view(-1, vocabulary), targets.view(-1))


model = Gpt()
ids, targets = torch.randint(vocabulary, (batch, context)), torch.randint(vocabulary, (batch, context))


def step(optimizer):
    optimizer.zero_grad(set_to_none=True)
    model(ids, targets).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()


def seconds(optimizer, count):
    start = clock()
    for _ in range(count):
        step(optimizer)
    return (clock() - start) / count


# The faster of the optimizer's two forms.
forms = [torch.optim.AdamW(model.parameters(), lr=3e-4, foreach=f) for f in (False, True)]
for form in forms:
    seconds(form, 1)
optimizer = min(forms, key=lambda form: seconds(form, 2))
print(f"ready torch {torch.__version__}", flush=True)
for line in sys.stdin:
    print(repr(seconds(optimizer, int(line.split()[1]))), flush=True)
