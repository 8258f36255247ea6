"""Rows of the comparison and how they are printed. Knows nothing of engines."""

import statistics
from dataclasses import dataclass, field

UNITS = {"ms": 1e-3, "s": 1.0, "us": 1e-6, "MB": 1e6, "/s": 1.0}


@dataclass
class Cell:
    """What one engine did: its samples in seconds, bytes or requests per second, or a word that says why there are none."""
    samples: list = field(default_factory=list)
    word: str = ""
    note: str = ""

    @property
    def value(self):
        return statistics.median(self.samples) if self.samples else None


@dataclass
class Goal:
    """Panal's value against a limit of its own or against Docker's (limit None: then times Docker's). With both, the limit was set
    on a machine where it was so much of Docker's."""
    text: str
    limit: float = None
    of_docker: float = None

    def is_met(self, docker, panal):
        limit = self.limit if self.limit is not None else None if docker is None else docker * self.of_docker
        return None if limit is None or panal is None else panal <= limit


@dataclass
class Row:
    what: str
    unit: str
    docker: Cell
    panal: Cell
    goal: Goal = None

    def show(self, cell):
        if cell.value is None:
            return cell.word or "-"
        number = cell.value / UNITS[self.unit]
        digits = 0 if number >= 1000 or self.unit == "/s" else 1 if number >= 10 else 2
        return f"{number:,.{digits}f} {self.unit}".replace(" /s", "/s")

    @property
    def ratio(self):
        if not self.docker.value or self.panal.value is None:
            return "-"
        return f"{self.panal.value / self.docker.value:.2f}"

    @property
    def verdict(self):
        if self.goal is None:
            return ""
        met = self.goal.is_met(self.docker.value, self.panal.value)
        if met is False and self.goal.limit and self.goal.of_docker and self.docker.value:
            by_ratio = "met" if self.panal.value <= self.docker.value * self.goal.of_docker else "missed, too"
            return f"{self.goal.text}: MISSED; that is {self.goal.of_docker:.2f} of Docker's: {by_ratio}"
        return self.goal.text + ("" if met is None else ", met" if met else ", MISSED")

    def cells(self):
        return [self.what, self.show(self.docker), self.show(self.panal), self.ratio, self.verdict]


HEAD = ["what", "Docker 20.10", "Panal", "Panal / Docker", "goal"]


def as_text(rows):
    lines = [HEAD] + [row.cells() for row in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    out = []
    for line in lines:
        out.append("  ".join(text.ljust(width) if column in (0, 4) else text.rjust(width)
                             for column, (text, width) in enumerate(zip(line, widths))).rstrip())
    out.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(out)


def as_markdown(rows, head_lines):
    out = [*head_lines, "", "| " + " | ".join(HEAD) + " |", "|---|---:|---:|---:|---|"]
    out += ["| " + " | ".join(row.cells()) + " |" for row in rows]
    return "\n".join(out) + "\n"


def notes(rows):
    """One line for each cell that has something to explain."""
    return [f"{row.what}, {name}: {cell.note}" for row in rows for name, cell in (("Docker", row.docker), ("Panal", row.panal)) if cell.note]


def as_json(rows, machine):
    return {"machine": machine, "rows": [{"what": row.what, "unit": row.unit, "docker": vars(row.docker), "panal": vars(row.panal)}
                                         for row in rows]}
