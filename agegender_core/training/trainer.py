"""The training loop: resumable, seeded, CPU or CUDA by what is there."""

from __future__ import annotations

import copy
import ctypes
import dataclasses
import json
import math
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from agegender_core.errors import ConfigError
from agegender_core.inference.forward import channels_last
from agegender_core.inference.model_zoo import find_weights, stages_of
from agegender_core.models import count_parameters, create_model
from agegender_core.output.files import atomic_file, write_json
from agegender_core.settings import ROOT
from agegender_core.training.augmentation import augment
from agegender_core.training.batchnorm import recompute_batchnorm_stats
from agegender_core.training.config import (
    OptimizerConfig,
    Recipe,
    changed_settings,
    load_recipe,
    recipe_from_dict,
)
from agegender_core.training.crop_dataset import CropDataset, load_split
from agegender_core.training.distil import distillation_loss, teacher_digests, teacher_logits
from agegender_core.training.initialization import centre_years, check_start, load_initial
from agegender_core.training.losses import total_loss
from agegender_core.training.validation import mixed_precision, quick_metrics
from agegender_core.vision.preprocessing import normalise

Report = Callable[[str], None]


@dataclass
class TrainState:
    """What a checkpoint contains. ``step``: batches seen. ``elapsed``: seconds of training, earlier
    runs included.

    ``order``: positions of the images that this pass has not seen yet. ``running``: running mean of
    the loss. ``started_from``: in words, for the model card. ``settings``: what the recipe sets
    otherwise than its file, None where that is not known. ``commits``: of the code, a name for each
    that the run had. ``origin``: of the published weights it went on from: «sha256» and «stages»,
    None where it did not. ``teachers``: their sha256 by name.
    """

    model: nn.Module
    ema: nn.Module | None
    optimizer: torch.optim.Optimizer
    generator: torch.Generator
    step: int = 0
    elapsed: float = 0.0
    progress: float = 0.0
    started_from: str = "from scratch"
    settings: dict[str, Any] | None = None
    running: float = 0.0
    commits: tuple[str, ...] = ()
    origin: dict[str, Any] | None = None
    teachers: dict[str, str] = field(default_factory=dict)
    order: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.long))

    def save(self, path: Path, recipe: Recipe) -> None:
        """Write atomically: a process killed meanwhile leaves the previous checkpoint intact."""
        saved = {
            "recipe": recipe.as_dict(),
            "model": self.model.state_dict(),
            "ema": None if self.ema is None else self.ema.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "dropout": _random_state(self.generator.device),
            "order": self.order.cpu(),
            "running": self.running,
            "counters": (self.step, self.elapsed),
            "started_from": self.started_from,
            "settings": self.settings,
            "device": self.generator.device.type,
            "commits": list(self.commits),
            "origin": self.origin,
            "teachers": self.teachers,
        }
        with atomic_file(path) as file:
            torch.save(saved, file)

    def restore(self, saved: dict[str, Any]) -> None:
        """Continue from what ``read_checkpoint`` found as if the run had never stopped: random
        numbers and the rest of the pass are in it. The schedule may have become longer, so progress
        is computed again.
        """
        self.model.load_state_dict(saved["model"])
        if self.ema is not None:
            self.ema.load_state_dict(saved["ema"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.generator.set_state(saved["generator"])
        self.step, self.elapsed = saved["counters"]
        self.started_from = saved.get("started_from", self.started_from)
        self.settings = saved.get("settings")
        self.commits = tuple(saved.get("commits", ()))
        self.origin, self.teachers = saved.get("origin"), saved.get("teachers", {})
        if "order" in saved:  # absent from checkpoints of before 29 November 2026
            self.order, self.running = saved["order"].to(self.generator.device), saved["running"]
            _set_random_state(saved["dropout"], self.generator.device)


def _random_state(device: torch.device) -> Tensor:
    """What dropout draws from on ``device``."""
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()


def _set_random_state(state: Tensor, device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.set_rng_state(state, device)
    else:
        torch.set_rng_state(state)


def _device(name: str | None) -> torch.device:
    """The device called ``name``; None: CUDA where there is one. Raises ``ConfigError``."""
    cuda = torch.cuda.is_available()
    try:
        device = torch.device(name or ("cuda" if cuda else "cpu"))
    except RuntimeError:
        raise ConfigError(f"no device called {name!r}: give cpu or cuda") from None
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f"training runs on cpu or cuda, not on {name!r}")
    if device.type == "cuda" and (not cuda or (device.index or 0) >= torch.cuda.device_count()):
        raise ConfigError(f"there is no {name!r} here, or this PyTorch was built without CUDA")
    return device


NO_CHECKPOINT = (
    AssertionError,
    AttributeError,
    EOFError,
    IndexError,
    KeyError,
    RuntimeError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
)
"""What reading a file raises that is damaged or no checkpoint."""


def read_checkpoint(
    path: Path, recipe: Recipe, device: torch.device, *, same_length: bool = False
) -> dict[str, Any]:
    """What ``TrainState.save`` wrote. Raises ``ConfigError`` for a file that cannot be read, and
    where it belongs to another recipe (``same_length``: also to a longer or shorter run), to
    another kind of device, or to other weights of its teachers.
    """
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        made_by = recipe_from_dict(saved["recipe"], str(path)).as_dict()  # new settings: defaults
        missing = {"model", "ema", "optimizer", "generator", "counters"} - saved.keys()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from error
    except NO_CHECKPOINT as error:
        missing = {type(error).__name__}
    if missing:
        raise ConfigError(
            f"{path} is no whole checkpoint ({', '.join(sorted(missing))}): where it is damaged,"
            " --restart starts again"
        )
    if _identity(made_by, same_length) != _identity(recipe.as_dict(), same_length):
        raise ConfigError(
            f"{path} was made by another recipe: train into another folder, or remove this one to"
            " start again"
        )
    if saved.get("device", device.type) != device.type:
        raise ConfigError(
            f"{path} was made on {saved['device']}: give --device {saved['device']} to go on, or"
            " --restart to start again"
        )
    taught = teacher_digests(recipe)
    if saved.get("teachers", taught) != taught:
        raise ConfigError(
            f"{path} was taught by weights that have been replaced since"
            f" ({', '.join(sorted(taught))}): --restart starts again with today's"
        )
    return saved


LENGTH = ("epochs", "budget_minutes", "watch")
"""What may differ in the schedule of a run that goes on from a checkpoint."""


def _identity(recipe: dict[str, Any], same_length: bool = False) -> str:
    """A recipe without its card and what a run only watches, and without its length where a longer
    run may continue from a shorter one's checkpoint.
    """
    apart = ("watch",) if same_length else LENGTH
    schedule = {key: value for key, value in recipe["schedule"].items() if key not in apart}
    return json.dumps({**recipe, "schedule": schedule, "card": None}, sort_keys=True, default=list)


def train(
    recipe: Recipe,
    out: Path,
    *,
    resume: bool = True,
    device: str | None = None,
    same_length: bool = False,
    checkpoint_seconds: float = 120,
    report: Report = print,
) -> dict[str, Any]:
    """Train by ``recipe``; leaves ``checkpoint.pt``, ``log.jsonl``, ``model.safetensors`` and
    ``run.json`` in ``out``.

    ``same_length``: go on only from a checkpoint of a run of the same length, for comparisons.
    ``report`` gets a line at a time. Returns the contents of ``run.json``. Raises ``ConfigError``
    or ``DatasetError``.
    """
    chosen = _device(device)
    checkpoint = out / "checkpoint.pt"
    saved = None
    if resume and checkpoint.is_file():  # before images are read for minutes
        saved = read_checkpoint(checkpoint, recipe, chosen, same_length=same_length)
    else:
        check_start(recipe)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{out} cannot be made ({error.strerror}): name a folder to write to with --out"
        ) from error
    commit = git_commit()
    _keep_heap()
    crops = load_split(recipe, recipe.data.split, report).to(chosen)
    val = load_split(recipe, recipe.data.val_split, report)
    crops = dataclasses.replace(crops, teacher=teacher_logits(recipe, crops, out, report))
    torch.manual_seed(recipe.seed)  # after the teachers, which may have been run or not
    state = start(recipe, chosen)
    if saved is not None:
        state.restore(saved)
        del saved
        state.settings = _with_length(state.settings, _settings(recipe))
        report(f"resumed {checkpoint} at step {state.step:,}, {state.elapsed / 60:.1f} minutes in")
        if (done := _finished(recipe, state, crops, out)) is not None:
            report("it had come to its end: nothing is left to train")
            return done
        state.commits = tuple(dict.fromkeys((*state.commits, commit)))
        _cut_log(out, state, len(crops) // recipe.schedule.batch_size)
    else:
        (out / "log.jsonl").unlink(missing_ok=True)
        centre_years(state.model, crops.targets)
        state.started_from = load_initial(state.model, recipe)
        state.settings, state.commits = _settings(recipe), (commit,)
        state.origin = _origin(recipe)
        state.teachers = teacher_digests(recipe)
        if state.ema is not None:
            state.ema.load_state_dict(state.model.state_dict())
        report(f"starts {state.started_from}")
    (out / "run.json").unlink(missing_ok=True)  # of an earlier end, which the log is no longer of
    report(
        f"{recipe.name}: {count_parameters(state.model):,} parameters on {chosen}, {len(crops):,}"
        " images"
    )
    metrics = _run(recipe, state, crops, val, out, checkpoint_seconds, report)
    if state.ema is None:  # an average of the weights brings its own, averaged statistics
        recompute_batchnorm_stats(state.model, recipe, crops)
        metrics = quick_metrics(state.model, val, recipe, recipe.input.size)
    return _finish(recipe, state, crops, metrics, out)


def _origin(recipe: Recipe) -> dict[str, Any] | None:
    """What is known of the published weights that ``recipe`` goes on from."""
    if recipe.start_from != "published":
        return None
    info = find_weights(recipe.name)
    return {"sha256": info.sha256, "stages": stages_of(info)}


def _finished(
    recipe: Recipe, state: TrainState, crops: CropDataset, out: Path
) -> dict[str, Any] | None:
    """``run.json`` of a run that is at its end, its card as ``recipe`` has it today; None where
    there is something left to train or to write.
    """
    steps = len(crops) // recipe.schedule.batch_size
    path = out / "run.json"
    if _progress(recipe, state, steps) < 1 or not (out / "model.safetensors").is_file():
        return None
    try:
        run = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    run["recipe"]["card"] = recipe.as_dict()["card"]
    write_json(path, run)
    return run


def _cut_log(out: Path, state: TrainState, steps_per_epoch: int) -> None:
    """Drop rows of passes that ended after the checkpoint: they are trained, and logged, again."""
    path = out / "log.jsonl"
    if not path.is_file():
        return
    done = round(state.step / steps_per_epoch, 2)
    kept = [line for line in path.read_text().splitlines() if json.loads(line)["epoch"] <= done]
    with atomic_file(path) as file:
        file.write("".join(f"{line}\n" for line in kept).encode())


def start(recipe: Recipe, device: torch.device) -> TrainState:
    """Untrained network, its average and its optimizer on ``device``, seeded by the caller."""
    model = channels_last(
        create_model(recipe.architecture, recipe.heads, **recipe.model).to(device)
    )
    ema = copy.deepcopy(model).eval().requires_grad_(False) if recipe.optimizer.ema else None
    generator = torch.Generator(device=device)
    generator.manual_seed(recipe.seed)
    return TrainState(model, ema, _optimizer(model, recipe.optimizer), generator)


def _optimizer(model: nn.Module, config: OptimizerConfig) -> torch.optim.Optimizer:
    """Only weights decay: biases and batch norm are left alone."""
    decayed = [p for p in model.parameters() if p.ndim > 1]
    free = [p for p in model.parameters() if p.ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": free, "weight_decay": 0.0},
    ]
    kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "nadam": torch.optim.NAdam}
    options = {} if config.name == "nadam" else {"fused": True}  # NAdam has no fused form
    return kinds[config.name](groups, lr=config.lr, eps=config.eps, **options)


def learning_rate(recipe: Recipe, progress: float) -> float:
    """Rate at ``progress`` in [0, 1]: linear warm-up, then constant or down a cosine."""
    schedule, peak = recipe.schedule, recipe.optimizer.lr
    if schedule.warmup and progress < schedule.warmup:
        return peak * (0.04 + 0.96 * progress / schedule.warmup)
    if not schedule.cosine:
        return peak
    after = (progress - schedule.warmup) / max(1 - schedule.warmup, 1e-9)
    return peak * max(0.5 * (1 + math.cos(math.pi * min(after, 1.0))), 1e-3)


def crop_size(recipe: Recipe, progress: float) -> int:
    """Side of the training crop in pixels at ``progress``."""
    size = recipe.input.size
    for start, value in recipe.schedule.sizes:
        if progress >= start:
            size = value
    return size


def _run(
    recipe: Recipe,
    state: TrainState,
    crops: CropDataset,
    val: CropDataset,
    out: Path,
    checkpoint_seconds: float,
    report: Report,
) -> dict[str, float]:
    from tqdm import tqdm

    steps_per_epoch = len(crops) // recipe.schedule.batch_size
    if steps_per_epoch == 0:
        raise ConfigError(
            f"{len(crops)} images do not fill one batch of {recipe.schedule.batch_size}"
        )
    started, saved = time.monotonic() - state.elapsed, time.monotonic()
    bar = tqdm(
        total=1000,
        initial=int(1000 * state.progress),
        unit="‰",
        disable=not sys.stderr.isatty(),
        desc=recipe.name,
    )
    metrics: dict[str, float] = {}
    watched = crops.some(recipe.schedule.watch) if recipe.schedule.watch else None
    size = recipe.schedule.batch_size
    state.progress = _progress(recipe, state, steps_per_epoch)
    while state.progress < 1:
        if len(state.order) < size:
            state.order = torch.randperm(
                len(crops), generator=state.generator, device=crops.wide.device
            )
        batch, state.order = state.order[:size], state.order[size:]
        loss = step(recipe, state, crops, batch)
        if not math.isfinite(loss):
            raise ConfigError(
                f"{recipe.name}: the loss is {loss} at step {state.step + 1:,}: lower optimizer.lr"
                f" or set optimizer.clip_norm; the checkpoint in {out} is of before"
            )
        state.running = loss if state.running == 0 else 0.98 * state.running + 0.02 * loss
        state.step += 1
        state.elapsed = time.monotonic() - started
        state.progress = _progress(recipe, state, steps_per_epoch)
        bar.n = int(1000 * state.progress)
        bar.set_postfix(
            epoch=f"{state.step / steps_per_epoch:.1f}", loss=f"{state.running:.3f}", refresh=False
        )
        bar.update(0)
        if len(state.order) < size or state.progress >= 1:
            side = crop_size(recipe, state.progress)
            metrics = quick_metrics(state.ema or state.model, val, recipe, side)
            seen = quick_metrics(state.ema or state.model, watched, recipe, side) if watched else {}
            _log(
                out,
                state,
                steps_per_epoch,
                metrics | {f"train {key}": value for key, value in seen.items()},
                report,
            )
        if time.monotonic() - saved > checkpoint_seconds:
            state.save(out / "checkpoint.pt", recipe)
            saved = time.monotonic()
    bar.close()
    state.save(out / "checkpoint.pt", recipe)
    return metrics or quick_metrics(state.ema or state.model, val, recipe, recipe.input.size)


def _progress(recipe: Recipe, state: TrainState, steps_per_epoch: int) -> float:
    """Share of the run done, by steps or by the clock, whichever is further: a budget shrinks the
    schedule instead of cutting it.
    """
    by_steps = state.step / (steps_per_epoch * recipe.schedule.epochs)
    budget = recipe.schedule.budget_minutes * 60
    by_clock = state.elapsed / budget if budget else 0.0
    return min(max(by_steps, by_clock, state.progress), 1.0)


def step(recipe: Recipe, state: TrainState, crops: CropDataset, batch: Tensor) -> float:
    """One step on the images of ``batch``, (B,) positions in ``crops``. Returns the loss."""
    device = crops.wide.device
    for group in state.optimizer.param_groups:
        group["lr"] = learning_rate(recipe, state.progress)
    images = augment(
        crops.wide[batch],
        crop_size(recipe, state.progress),
        crops.view,
        recipe.augment,
        state.generator,
    )
    images = normalise(images, recipe.input).contiguous(memory_format=torch.channels_last)
    targets = crops.targets.each(lambda tensor: tensor[batch])
    with mixed_precision(recipe, device):
        logits = state.model(images).logits
    logits = {name: value.float() for name, value in logits.items()}
    loss = total_loss(logits, targets, recipe.loss)
    if crops.teacher:
        taught = {name: value[batch].float() for name, value in crops.teacher.items()}
        loss = loss + distillation_loss(logits, taught, recipe.distil)
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    if recipe.optimizer.clip_norm:
        nn.utils.clip_grad_norm_(state.model.parameters(), recipe.optimizer.clip_norm)
    state.optimizer.step()
    if state.ema is not None:
        update_ema(
            state.ema, state.model, min(recipe.optimizer.ema, (1 + state.step) / (10 + state.step))
        )
    return float(loss.detach())


@torch.no_grad()
def update_ema(ema: nn.Module, model: nn.Module, decay: float) -> None:
    """Move the averaged weights towards ``model``; batch-norm statistics are averaged too, counters
    copied.
    """
    for average, value in zip(ema.state_dict().values(), model.state_dict().values(), strict=True):
        if average.is_floating_point():
            average.lerp_(value, 1 - decay)
        else:
            average.copy_(value)


def _log(
    out: Path,
    state: TrainState,
    steps_per_epoch: int,
    metrics: dict[str, float],
    report: Report,
) -> None:
    row = {
        "epoch": round(state.step / steps_per_epoch, 2),
        "minutes": round(state.elapsed / 60, 1),
        "progress": round(state.progress, 4),
        "loss": round(state.running, 4),
    }
    row.update({_named(key): round(value, 4) for key, value in metrics.items()})
    with (out / "log.jsonl").open("a") as log:
        log.write(json.dumps(row) + "\n")
    report("  ".join(f"{key} {value}" for key, value in row.items()))


def _named(key: str) -> str:
    """«val_loss» for the validation split's loss, beside the running one of training."""
    return "val_loss" if key == "loss" else key


def _finish(
    recipe: Recipe,
    state: TrainState,
    crops: CropDataset,
    metrics: dict[str, float],
    out: Path,
) -> dict[str, Any]:
    tensors = {
        name: value.detach().cpu().contiguous()
        for name, value in (state.ema or state.model).state_dict().items()
    }
    with atomic_file(out / "model.safetensors") as file:
        file.write(safetensors.torch.save(tensors))
    device, threads = crops.wide.device, torch.get_num_threads()
    run = {
        "recipe": recipe.as_dict(),
        "commit": ", ".join(state.commits),
        "device": (
            torch.cuda.get_device_name(device)
            if device.type == "cuda"
            else f"CPU, {threads} thread{'' if threads == 1 else 's'}"
        ),
        "minutes": round(state.elapsed / 60, 1),
        "pictures": len(crops),
        "pictures_seen": state.step * recipe.schedule.batch_size,
        "start": state.started_from,
        "origin": state.origin,
        "teachers": state.teachers,
        "settings": state.settings,
        "torch": torch.__version__,
        "val": {key: round(value, 4) for key, value in metrics.items()},
    }
    write_json(out / "run.json", run)
    return run


def _settings(recipe: Recipe) -> dict[str, Any] | None:
    """What ``recipe`` sets otherwise than the file of its name in the repository, as it is now;
    None without one, or where the file has settings that ``recipe`` lacks.
    """
    own = ROOT / "configs" / f"{recipe.name}.toml"
    return changed_settings(recipe, load_recipe(own)) if own.is_file() else None


def _with_length(
    kept: dict[str, Any] | None, today: dict[str, Any] | None
) -> dict[str, Any] | None:
    """``kept``, the settings of a checkpoint, with today's length of the schedule."""
    if kept is None or today is None:
        return None
    length = {f"schedule.{name}" for name in LENGTH}
    return {key: value for key, value in kept.items() if key not in length} | {
        key: value for key, value in today.items() if key in length
    }


def git_commit() -> str:
    """Commit of the working tree, marked where it has changes; «unknown» outside a repository."""
    here = Path(__file__).resolve().parent
    try:
        answer = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--exclude", "*"],
            cwd=here,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return answer.stdout.strip()


def _keep_heap() -> None:
    """Ask glibc to keep freed memory: handing large activations back to the kernel each step cost a
    fifth of the time on two cores.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        libc = ctypes.CDLL("libc.so.6")
        m_trim_threshold, m_top_pad, m_mmap_max = -1, -2, -4
        for option, value in ((m_mmap_max, 0), (m_trim_threshold, 2**31 - 1), (m_top_pad, 2**28)):
            libc.mallopt(option, value)
    except (OSError, AttributeError):
        return
