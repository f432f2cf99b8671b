"""The peer of the training step: Phi-3-Vision fine-tuned on the CPU as Hugging Face does it in eager PyTorch, timed.

Needs torch 1.13 or later and nothing else: the model is written here as `modeling_phi3_v.py` and transformers' CLIPVisionModel compute
it, the step as the recipe's Trainer takes it without DeepSpeed. One JSON object on standard output.

    hf_step.py --method lora --threads 2                           random weights and pages
    hf_step.py --method full --checkpoint DIR --samples DIR        the same weights and pages as another implementation

What Hugging Face does and this does too, so that it costs what it costs there:
  * images of fewer crops are padded with zero crops, which pass through the tower;
  * all layers of the tower and its last norm run, though only the last but one's output is read (LoRA drops them, as the recipe does);
  * attention is eager: a [length, length] mask, all scores in memory, softmax in float32; rotary angles are made anew in every layer;
  * logits of every position in float32, then shifted, then cross-entropy;
  * every layer of tower and decoder is checkpointed (`--no-checkpointing` keeps the activations instead);
  * LoRA is three Linear calls, a scaling and a sum; AdamW goes tensor by tensor (`--foreach` for torch's other loop);
  * large blocks of freed memory go back to the kernel, as glibc does by default (`--keep-freed-memory`);
  * everything is float32 (`--bf16` keeps and computes all in bfloat16, optimizer included).
The strongest peer is the one with `--no-checkpointing --keep-freed-memory`; a careful user finds both.
Left out, which can only help the peer: Trainer's bookkeeping, the data loader (samples are in memory before the clock starts), the
padding part of the attention mask. The learning rate is constant, so that losses can be compared.

A checkpoint is a folder of config.json, whose object `vision_config` describes the tower, and model*.safetensors. A sample is one
`sample-*.safetensors`: input_ids and labels [length], image tokens being -1; for a page also pixel_values [crops, 3, side, side], the
global crop first, and image_grid [2], the local crops' rows and columns.
"""
import argparse
import ctypes
import itertools
import json
import math
import statistics
import struct
import sys
import time
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

LORA_TARGETS = ("qkv_proj", "o_proj", "gate_up_proj", "down_proj", "lm_head", "q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2",
                "img_projection.0", "img_projection.2")


class Config(dict):
    """config.json with its keys as attributes."""
    __getattr__ = dict.__getitem__
    vision = property(lambda self: Config(self.vision_config))
    head_dim = property(lambda self: self.hidden_size // self.num_attention_heads)


# The CLIP tower: transformers/models/clip/modeling_clip.py
class ClipAttention(nn.Module):
    def __init__(self, vision):
        super().__init__()
        self.heads, self.scale = vision.num_attention_heads, (vision.hidden_size // vision.num_attention_heads) ** -0.5
        self.k_proj, self.v_proj, self.q_proj, self.out_proj = (nn.Linear(vision.hidden_size, vision.hidden_size) for _ in range(4))

    def forward(self, x):
        n, length, width = x.shape

        def split(projected):
            return projected.view(n, length, self.heads, -1).transpose(1, 2).contiguous().view(n * self.heads, length, -1)

        q, k, v = split(self.q_proj(x) * self.scale), split(self.k_proj(x)), split(self.v_proj(x))
        weights = F.softmax(torch.bmm(q, k.transpose(1, 2)), dim=-1)
        out = torch.bmm(weights, v).view(n, self.heads, length, -1).transpose(1, 2).reshape(n, length, width)
        return self.out_proj(out)


class ClipLayer(nn.Module):
    def __init__(self, vision):
        super().__init__()
        width, inner = vision.hidden_size, vision.intermediate_size
        self.self_attn, self.mlp = ClipAttention(vision), nn.ModuleDict({"fc1": nn.Linear(width, inner), "fc2": nn.Linear(inner, width)})
        self.layer_norm1, self.layer_norm2 = (nn.LayerNorm(width, eps=vision.layer_norm_eps) for _ in range(2))

    def forward(self, x):
        x = x + self.self_attn(self.layer_norm1(x))
        inner = self.mlp["fc1"](self.layer_norm2(x))
        return x + self.mlp["fc2"](inner * torch.sigmoid(1.702 * inner))


class ClipEmbeddings(nn.Module):
    def __init__(self, vision):
        super().__init__()
        positions = (vision.image_size // vision.patch_size) ** 2 + 1
        self.class_embedding = nn.Parameter(torch.empty(vision.hidden_size))
        self.patch_embedding = nn.Conv2d(3, vision.hidden_size, vision.patch_size, vision.patch_size, bias=False)
        self.position_embedding = nn.Embedding(positions, vision.hidden_size)

    def forward(self, pixel_values):
        patches = self.patch_embedding(pixel_values).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_embedding.expand(len(pixel_values), 1, -1), patches], dim=1)
        return x + self.position_embedding(torch.arange(x.shape[1]))


class ClipVision(nn.Module):
    def __init__(self, vision):
        super().__init__()
        self.embeddings = ClipEmbeddings(vision)
        self.pre_layrnorm = nn.LayerNorm(vision.hidden_size, eps=vision.layer_norm_eps)  # spelt so
        self.encoder = nn.ModuleDict({"layers": nn.ModuleList(ClipLayer(vision) for _ in range(vision.num_hidden_layers))})
        self.post_layernorm = nn.LayerNorm(vision.hidden_size, eps=vision.layer_norm_eps)
        self.feature_layer, self.checkpointing = -2, True

    def forward(self, pixel_values):
        """The patch features that Phi-3-Vision reads, class token included."""
        states = [self.pre_layrnorm(self.embeddings(pixel_values))]
        for layer in self.encoder["layers"]:
            states.append(run(layer, self.checkpointing, states[-1]))
        self.post_layernorm(states[-1][:, 0])  # the pooled output, which nothing reads
        return states[self.feature_layer]


# Crops to image tokens: image_embedding_phi3_v.py
class ImageEmbedding(nn.Module):
    def __init__(self, config, num_crops):
        super().__init__()
        self.num_crops, merged, hidden = num_crops, 4 * config.vision.hidden_size, config.hidden_size
        self.img_processor = nn.ModuleDict({"vision_model": ClipVision(config.vision)})
        self.glb_GN, self.sub_GN = nn.Parameter(torch.empty(1, 1, merged)), nn.Parameter(torch.empty(1, 1, 1, merged))
        self.img_projection = nn.Sequential(nn.Linear(merged, hidden), nn.GELU(), nn.Linear(hidden, hidden))

    def forward(self, embedded, input_ids, pixel_values, image_grid):
        """Puts the image's tokens where `input_ids` is -1."""
        missing = self.num_crops + 1 - len(pixel_values)
        if missing > 0:
            pixel_values = torch.cat([pixel_values, pixel_values.new_zeros(missing, *pixel_values.shape[1:])])
        tokens = self.tokens(self.img_processor["vision_model"](pixel_values)[:, 1:], *image_grid.tolist())
        start = (input_ids[0] == -1).nonzero()[0].item()
        embedded[0, start:start + tokens.shape[1]] = tokens
        return embedded

    def tokens(self, features, rows, columns):
        """[crops, patches, width] to [1, tokens, hidden]: local grid, separator, global grid; every grid row ends in a separator."""
        side, width = math.isqrt(features.shape[1]) // 2, 4 * features.shape[2]
        merged = features.reshape(-1, side, 2, side, 2, width // 4).permute(0, 1, 3, 2, 4, 5).reshape(-1, side, side, width)
        local = merged[1:1 + rows * columns].reshape(rows, columns, side, side, width).permute(0, 2, 1, 3, 4)
        local = self.end_rows(local.reshape(1, rows * side, columns * side, width))
        return self.img_projection(torch.cat([local, self.glb_GN, self.end_rows(merged[:1])], dim=1))

    def end_rows(self, grid):
        return torch.cat([grid, self.sub_GN.repeat(1, grid.shape[1], 1, 1)], dim=2).reshape(1, -1, grid.shape[-1])


# The decoder: modeling_phi3_v.py, eager attention
class RmsNorm(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.empty(config.hidden_size)), config.rms_norm_eps

    def forward(self, x):
        kind, x = x.dtype, x.to(torch.float32)
        x = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps)
        return self.weight * x.to(kind)


def rotary(config, positions):
    """cos and sin of every position, [1, length, head_dim]."""
    factors, scale, scaling = torch.ones(config.head_dim // 2), 1.0, config.get("rope_scaling")
    if scaling:
        original = config.original_max_position_embeddings
        stretch = config.max_position_embeddings / original
        factors = torch.tensor(scaling["long_factor" if positions.max() + 1 > original else "short_factor"])
        scale = 0.1 * math.log(stretch) + 1 if scaling["type"] == "yarn" else math.sqrt(1 + math.log(stretch) / math.log(original))
    frequencies = 1.0 / (factors * config.rope_theta ** (torch.arange(0, config.head_dim, 2).float() / config.head_dim))
    angles = (frequencies[None, :, None] @ positions[:, None, :].float()).transpose(1, 2)
    angles = torch.cat([angles, angles], dim=-1)
    return angles.cos() * scale, angles.sin() * scale


def rotate(x, cos, sin):
    first, second = x.chunk(2, dim=-1)
    return x * cos.unsqueeze(1) + torch.cat([-second, first], dim=-1) * sin.unsqueeze(1)


class Attention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config, self.heads, self.kv_heads = config, config.num_attention_heads, config.num_key_value_heads
        self.qkv_proj = nn.Linear(config.hidden_size, (self.heads + 2 * self.kv_heads) * config.head_dim, bias=False)
        self.o_proj = nn.Linear(self.heads * config.head_dim, config.hidden_size, bias=False)

    def forward(self, x, mask, positions):
        n, length, size = *x.shape[:2], self.config.head_dim
        q, k, v = self.qkv_proj(x).split([self.heads * size, self.kv_heads * size, self.kv_heads * size], dim=-1)
        q, k, v = (part.view(n, length, -1, size).transpose(1, 2) for part in (q, k, v))
        cos, sin = (angles.to(x.dtype) for angles in rotary(self.config, positions))
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        if self.kv_heads != self.heads:
            k, v = (part.repeat_interleave(self.heads // self.kv_heads, dim=1) for part in (k, v))
        weights = torch.matmul(q, k.transpose(2, 3)) / math.sqrt(size)
        weights = F.softmax(weights + mask, dim=-1, dtype=torch.float32).to(v.dtype)
        out = torch.matmul(weights, v).transpose(1, 2).contiguous().reshape(n, length, -1)
        return self.o_proj(out)


class DecoderLayer(nn.Module):
    def __init__(self, config):
        super().__init__()
        width, inner = config.hidden_size, config.intermediate_size
        self.self_attn, self.input_layernorm, self.post_attention_layernorm = Attention(config), RmsNorm(config), RmsNorm(config)
        self.mlp = nn.ModuleDict({
            "gate_up_proj": nn.Linear(width, 2 * inner, bias=False), "down_proj": nn.Linear(inner, width, bias=False)})

    def forward(self, x, mask, positions):
        x = x + self.self_attn(self.input_layernorm(x), mask, positions)
        gate, up = self.mlp["gate_up_proj"](self.post_attention_layernorm(x)).chunk(2, dim=-1)
        return x + self.mlp["down_proj"](up * F.silu(gate))


class Decoder(nn.Module):
    def __init__(self, config, num_crops):
        super().__init__()
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size, config.get("pad_token_id", 32000))
        self.vision_embed_tokens = ImageEmbedding(config, num_crops)
        self.layers = nn.ModuleList(DecoderLayer(config) for _ in range(config.num_hidden_layers))
        self.norm, self.checkpointing = RmsNorm(config), True

    def forward(self, input_ids, pixel_values, image_grid):
        x = self.embed_tokens(input_ids.clamp(min=0))
        if pixel_values is not None:
            x = self.vision_embed_tokens(x, input_ids, pixel_values, image_grid)
        positions = torch.arange(x.shape[1])[None]
        mask = torch.full((x.shape[1], x.shape[1]), torch.finfo(x.dtype).min, dtype=x.dtype).triu(1)[None, None]
        for layer in self.layers:
            x = run(layer, self.checkpointing, x, mask, positions)
        return self.norm(x)


class Phi3V(nn.Module):
    """Phi3VForCausalLM. The parameters' names are the checkpoint's."""
    def __init__(self, config, num_crops):
        super().__init__()
        self.model = Decoder(config, num_crops)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)

    def forward(self, input_ids, labels, pixel_values=None, image_grid=None):
        """One sample's mean loss over the positions whose next label is supervised."""
        logits = self.lm_head(self.model(input_ids[None], pixel_values, image_grid)).float()
        shifted, wanted = logits[:, :-1].contiguous(), labels[None, 1:].contiguous()
        return F.cross_entropy(shifted.view(-1, shifted.shape[-1]), wanted.view(-1), ignore_index=-100)


def run(layer, checkpointing, *inputs):  # not the reentrant kind: with that, layers above a frozen embedding get no gradient
    return checkpoint(layer, *inputs, use_reentrant=False) if checkpointing else layer(*inputs)


# Methods: what is trained
class LoraLinear(nn.Module):
    """PEFT's lora.Linear, dropout 0."""
    def __init__(self, base, rank, alpha):
        super().__init__()
        self.base_layer, self.scaling = base, alpha / rank
        self.lora_A = nn.Linear(base.in_features, rank, bias=False)
        self.lora_B = nn.Linear(rank, base.out_features, bias=False)
        nn.init.normal_(self.lora_A.weight, std=1 / rank)
        nn.init.zeros_(self.lora_B.weight)

    def forward(self, x):
        return self.base_layer(x) + self.lora_B(self.lora_A(x)) * self.scaling


def prepare(model, method, rank, alpha, adapter):
    """Marks what the method trains; `adapter` is a PEFT folder to start from, or nothing."""
    if method == "lora":
        tower = model.model.vision_embed_tokens.img_processor["vision_model"]
        del tower.encoder["layers"][-1]
        tower.post_layernorm, tower.feature_layer = nn.Identity(), -1
        model.requires_grad_(False)
        for name, module in list(model.named_modules()):
            if isinstance(module, nn.Linear) and name.endswith(LORA_TARGETS):
                parent, _, last = name.rpartition(".")
                setattr(model.get_submodule(parent), last, LoraLinear(module, rank, alpha))
        saved = read_safetensors(Path(adapter) / "adapter_model.safetensors") if adapter else {}
        for name, parameter in model.named_parameters() if adapter else ():
            if parameter.requires_grad:
                parameter.data.copy_(saved[f"base_model.model.{name}"])
    elif method == "frozen-vision":
        model.model.vision_embed_tokens.requires_grad_(False)
        model.model.embed_tokens.requires_grad_(False)  # tied to the image embedding's


def make_optimizer(model, learning_rate, foreach):
    """Trainer's AdamW: no decay for LayerNorms and biases. The decoder's RMSNorms are no LayerNorms."""
    exempt = {f"{name}.{part}" for name, m in model.named_modules() if isinstance(m, nn.LayerNorm) for part in ("weight", "bias")}
    groups = {0.01: [], 0.0: []}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups[0.0 if name in exempt or "bias" in name else 0.01].append(parameter)
    return torch.optim.AdamW([{"params": parameters, "weight_decay": decay} for decay, parameters in groups.items() if parameters],
                             lr=learning_rate, betas=(0.9, 0.95), eps=1e-7, foreach=foreach)


# Weights and samples
def read_safetensors(path):
    kinds = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64, "I32": torch.int32}
    data = bytearray(Path(path).read_bytes())
    size = struct.unpack_from("<Q", data)[0]
    tensors = {}
    for name, info in json.loads(data[8:8 + size]).items():
        if name != "__metadata__":
            start = 8 + size + info["data_offsets"][0]
            flat = torch.frombuffer(data, dtype=kinds[info["dtype"]], count=math.prod(info["shape"]), offset=start)
            tensors[name] = flat.reshape(info["shape"]).clone()
    return tensors


def load_weights(model, folder):
    saved = dict(pair for path in Path(folder).glob("model*.safetensors") for pair in read_safetensors(path).items())
    saved.pop("model.vision_embed_tokens.wte.weight", None)  # the token embedding once more
    model.load_state_dict(saved)


def random_weights(model):
    """Activations of order one."""
    for name, p in model.named_parameters():
        nn.init.normal_(p, std=p[0].numel() ** -0.5) if p.dim() > 1 else nn.init.constant_(p, 0.0 if "bias" in name else 1.0)


def random_pages(config, count, rows=4, columns=4, before=5, after=20, answer=6):
    """Letter pages with a short question and a short answer."""
    side = config.vision.image_size // config.vision.patch_size // 2
    image = torch.full(((rows * columns + 1) * side**2 + 1 + (rows + 1) * side,), -1)
    pages = []
    for _ in range(count):
        text = torch.randint(3, config.vocab_size, (before + after + answer,))
        ids = torch.cat([text[:before], image, text[before:]])
        labels = torch.full_like(ids, -100)
        labels[-answer:] = ids[-answer:]
        pixels = torch.randn(rows * columns + 1, 3, config.vision.image_size, config.vision.image_size)
        pages.append({"input_ids": ids, "labels": labels, "pixel_values": pixels, "image_grid": torch.tensor([rows, columns])})
    return pages


# The measurement
def find_blas(threads):
    """Which OpenBLAS runs, after giving it its threads; torch.set_num_threads does not reach it."""
    for path in dict.fromkeys(line.split()[-1] for line in open("/proc/self/maps") if "openblas" in line):
        library = ctypes.CDLL(path)
        library.openblas_set_num_threads(threads)
        library.openblas_get_corename.restype = library.openblas_get_config.restype = ctypes.c_char_p
        name, kernels = library.openblas_get_config().decode(), library.openblas_get_corename().decode()
        return {"library": " ".join(name.split()[:2]), "kernels": kernels, "threads": library.openblas_get_num_threads()}
    if torch.backends.mkl.is_available():
        return {"library": "MKL", "threads": threads}
    raise SystemExit("torch found neither OpenBLAS nor MKL, so its products would be several times slower: install libopenblas0-pthread")


def keep_freed_memory():
    """Else the pages of every large tensor are taken from the kernel and given back again and again."""
    libc, trim_threshold, mmap_threshold = ctypes.CDLL("libc.so.6"), -1, -3
    if not (libc.mallopt(mmap_threshold, 1 << 30) and libc.mallopt(trim_threshold, 2**31 - 1)):
        raise SystemExit("this libc takes no thresholds so high")


def peak_rss():
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))


def take_step(model, optimizer, samples):
    """One optimizer step over the global batch, a sample at a time. Returns the mean loss."""
    total = 0.0
    for sample in samples:
        loss = model(**sample) / len(samples)
        loss.backward()
        total += loss.item()
    nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return total


def build(args):
    torch.manual_seed(args.seed)
    if args.checkpoint:
        config = Config(json.loads((Path(args.checkpoint) / "config.json").read_text()))
    else:
        vision = dict(hidden_size=args.tower_hidden, intermediate_size=args.tower_ffn, num_hidden_layers=args.tower_layers,
                      num_attention_heads=args.tower_heads, patch_size=14, image_size=336, layer_norm_eps=1e-5)
        config = Config(hidden_size=args.hidden, intermediate_size=args.ffn, num_hidden_layers=args.layers, vocab_size=args.vocab,
                        num_attention_heads=args.heads, num_key_value_heads=args.heads, rms_norm_eps=1e-5, rope_theta=10000.0,
                        rope_scaling=None, pad_token_id=None, vision_config=vision)
    model = Phi3V(config, args.num_crops)
    load_weights(model, args.checkpoint) if args.checkpoint else random_weights(model)
    prepare(model, args.method, args.rank, args.alpha, args.adapter)
    for module in model.modules():
        if hasattr(module, "checkpointing"):
            module.checkpointing = args.checkpointing
    return config, model.train().to(args.kind)


def main():
    args = parse()
    if args.keep_freed_memory:
        keep_freed_memory()
    torch.set_num_threads(args.threads)
    blas = find_blas(args.threads)
    config, model = build(args)
    samples = [read_safetensors(path) for path in sorted(Path(args.samples).glob("sample-*.safetensors"))] if args.samples else \
        random_pages(config, args.global_batch)
    for sample in samples:
        if "pixel_values" in sample:
            sample["pixel_values"] = sample["pixel_values"].to(args.kind)
    batch = list(itertools.islice(itertools.cycle(samples), args.global_batch))
    optimizer = make_optimizer(model, args.learning_rate, args.foreach)
    seconds, losses = [], []
    if args.turns:
        print("ready", flush=True)
    for _ in sys.stdin if args.turns else range(args.warmup + args.steps):
        start = time.perf_counter()
        losses.append(take_step(model, optimizer, batch))
        seconds.append(time.perf_counter() - start)
        if args.turns:
            print(json.dumps({"seconds": seconds[-1], "loss": losses[-1], "peak_rss_bytes": peak_rss()}), flush=True)
    timed = seconds[args.warmup:]
    print(json.dumps({
        "method": args.method, "images_per_second": args.global_batch / statistics.median(timed) if timed else None,
        "step_seconds": timed, "losses": losses, "peak_rss_bytes": peak_rss(), "threads": torch.get_num_threads(),
        "global_batch": len(batch), "tokens": len(batch[0]["input_ids"]), "checkpointing": args.checkpointing,
        "keep_freed_memory": args.keep_freed_memory, "foreach": args.foreach, "parameters": sum(p.numel() for p in model.parameters()),
        "trained_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad), "torch": torch.__version__, "blas": blas}))


def parse():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    p.add_argument("--method", choices=("full", "frozen-vision", "lora"), default="full")
    p.add_argument("--global-batch", type=int, default=4, help="samples of an optimizer step, accumulated one by one")
    p.add_argument("--steps", type=int, default=3, help="steps that are timed")
    p.add_argument("--warmup", type=int, default=1, help="steps before them that are not")
    p.add_argument("--turns", action="store_true", help="take a step for each line on standard input, for two programs to take turns")
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--seed", type=int, default=42)
    p.add_argument("--learning-rate", type=float, default=1e-4)
    p.add_argument("--no-checkpointing", dest="checkpointing", action="store_false", help="keep all activations instead of recomputing")
    p.add_argument("--keep-freed-memory", action="store_true", help="do not give large blocks back to the kernel")
    p.add_argument("--foreach", action="store_true", help="AdamW over lists of tensors")
    p.add_argument("--bf16", dest="kind", action="store_const", const=torch.bfloat16, default=torch.float32, help="instead of float32")
    p.add_argument("--rank", type=int, default=32)
    p.add_argument("--alpha", type=float, default=64)
    p.add_argument("--adapter", help="LoRA: PEFT folder to start from")
    p.add_argument("--num-crops", type=int, default=16, help="images are padded to one crop more than this")
    p.add_argument("--checkpoint", help="Hugging Face folder; without one, random weights of the sizes below")
    p.add_argument("--samples", help="folder of sample-*.safetensors; without one, random letter pages")
    for name, size in dict(hidden=512, ffn=1408, layers=8, heads=8, vocab=32064, tower_hidden=256, tower_ffn=1024, tower_layers=6,
                           tower_heads=4).items():
        p.add_argument(f"--{name.replace('_', '-')}", type=int, default=size)
    return p.parse_args()


if __name__ == "__main__":
    main()
