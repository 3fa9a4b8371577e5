"""The design-rule check: does a graph fit a chip? Before anything runs, every rule with what is used, what is allowed, and the remedy."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from neuromorph.errors import MappingError
from neuromorph.graph.graph import Graph
from neuromorph.hardware import HardwareProfile
from neuromorph.learning import Learning
from neuromorph.mapping.cut import demands, limits
from neuromorph.mapping.partition import WORDS, Partition, partition
from neuromorph.rules import Rule, form_rules


@dataclass(frozen=True, eq=False)
class CheckReport:
    """All rules, and the partition on cores where there is one."""

    profile: str
    rules: tuple[Rule, ...]
    partition: Partition | None

    @property
    def fits(self) -> bool:
        return all(rule.status != "broken" for rule in self.rules)

    def worst(self) -> list[Rule]:
        """Of every rule what comes closest to its limit, or all that breaks it or has to be split."""
        by_rule: dict[str, list[Rule]] = {}
        for rule in self.rules:
            by_rule.setdefault(rule.rule, []).append(rule)
        shown = [[r for r in rules if r.status != "kept"] or [max(rules, key=lambda r: r.percent or 0.0)] for rules in by_rule.values()]
        return [rule for rules in shown for rule in rules]

    def to_dict(self) -> dict[str, Any]:
        cores = self.partition.n_cores if self.partition else None
        return {"profile": self.profile, "fits": self.fits, "cores": cores, "rules": [rule.to_dict() for rule in self.rules]}


def check(graph: Graph, profile: HardwareProfile, *, chips: int = 1, learning: Learning | None = None) -> CheckReport:
    """Hold a graph against everything that the profile limits; `chips`: how many there are; `learning`: which synapses are plastic,
    by default those of the graph's rules.

    Raises:
        GraphError: `learning` names a projection that the graph lacks.
    """
    rules, learning = form_rules(graph, profile), learning or Learning.of(graph)
    if learning:
        rules += learning_rules(graph, profile, learning)
    found = None
    if "compartments_per_core" in profile.limits:
        rules += population_rules(graph, profile, learning)
        try:
            found = partition(graph, profile, learning)
        except MappingError as error:
            rules.append(Rule("one neuron", "Graph", "more", "one core", "broken", str(error)))
        else:
            rules += core_rules(found, profile, chips)
    return CheckReport(profile.id, tuple(rules), found)


def learning_rules(graph: Graph, profile: HardwareProfile, learning: Learning) -> list[Rule]:
    """Does the chip learn, and how far apart may its updates be?"""
    synapses, subject = learning.synapses(graph), f"{', '.join(learning.projections)}"
    learns = profile.limits.get("on_chip_learning")
    if learns is not True:
        fault = f"{profile.id} {'does not learn' if learns is False else 'is not known to learn'}; {synapses:,} synapses are to be plastic."
        return [Rule("learning", subject, "plastic", "fixed", "broken", fault, "Train off the chip, or choose one that learns (loihi1).")]
    rules = [Rule("learning", subject, "plastic", "plastic", "kept"), *_third_factors(graph, profile)]
    if "learning_epoch_max" in profile.limits:
        allowed = profile.limit("learning_epoch_max")
        if learning.epoch <= allowed:
            return [*rules, Rule("learning epoch", subject, learning.epoch, allowed, "kept")]
        fault = f"an epoch of {learning.epoch} steps exceeds {allowed} of {profile.id}."
        rules.append(Rule("learning epoch", subject, learning.epoch, allowed, "broken", fault, "Update plastic synapses more often."))
    return rules


def _third_factors(graph: Graph, profile: HardwareProfile) -> Iterator[Rule]:
    """Different third factors of one population's plastic synapses, against the traces that a neuron has for them."""
    if "third_factor_traces" not in profile.limits:
        return
    allowed = profile.limit("third_factor_traces")
    for p in graph.neurons:
        rules = [q.plasticity for q in graph.plastic if q.target == p.name]
        if used := len({rule.third_factor for rule in rules if rule and rule.third_factor}):
            fault = f"its synapses learn by {used} third factors, a neuron of {profile.id} has {allowed}."
            told = ("broken", fault, "Let its plastic projections share third factors.") if used > allowed else ("kept", "", "")
            yield Rule("third factors", f"Population {p.name!r}", used, allowed, *told)


def population_rules(graph: Graph, profile: HardwareProfile, learning: Learning | None = None) -> list[Rule]:
    """What each population, were it on one core, needs of every resource of a core."""
    whole = {p.name: np.array([0, p.n]) for p in graph.neurons}
    rules: list[Rule] = []
    for name, demand in demands(graph, whole, profile, learning=learning).items():
        for resource, allowed in limits(profile).items():
            used = int(getattr(demand, resource)[0])
            rules.append(_capacity(WORDS[resource][0], f"Population {name!r}", used, allowed))
    return rules


def core_rules(found: Partition, profile: HardwareProfile, chips: int) -> list[Rule]:
    """The fullest core by resource, and the number of cores."""
    rules = []
    for resource, allowed in limits(profile).items():
        used = found.used[resource]
        fullest = int(np.argmax(used))
        rules.append(Rule(WORDS[resource][0], f"Core {fullest} (the fullest of {found.n_cores})", int(used[fullest]), allowed, "kept"))
    if "cores_per_chip" in profile.limits:
        allowed = chips * profile.limit("cores_per_chip")
        needed = -(-found.n_cores // profile.limit("cores_per_chip"))
        subject = f"{chips} chip{'s' if chips > 1 else ''}"
        fault = f"the graph needs {found.n_cores} cores, they have {allowed}."
        remedy = f"Use {needed} chips (--chips {needed}), raise the sparsity, or use fewer neurons."
        broken = found.n_cores > allowed
        rules.append(
            Rule(
                "cores", subject, found.n_cores, allowed, "broken" if broken else "kept", fault if broken else "", remedy if broken else ""
            )
        )
    return rules


def _capacity(what: str, subject: str, used: int, allowed: int) -> Rule:
    if used <= allowed:
        return Rule(what, subject, used, allowed, "kept")
    fault = f"it needs {used:,} {what}, a core has {allowed:,}."
    return Rule(
        what, subject, used, allowed, "split", fault, f"Split it over {-(-used // allowed)} cores or more, as `neuromorph map` does."
    )
