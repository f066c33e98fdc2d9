"""`safe-reporting policy`: check, test, explain, tabulate, compare and prove what the router enforces."""

from __future__ import annotations

import dataclasses
import json
import time
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from services.cli import policy_compare, policy_explain, policy_matrix, policy_sign
from services.cli.shown import show
from services.kernel.approvers import load_approvers
from services.kernel.duties import load_duties
from services.kernel.errors import ConfigError, Exit
from services.kernel.kafka.topology import load_topology
from services.kernel.london import london_day
from services.kernel.paths import ROOT
from services.kernel.settings import load_settings
from services.router import lint
from services.router.areas import load_areas
from services.router.partners import load_partners
from services.router.profiles import load_profile
from services.router.prove import COMBINATIONS, Proof, prove, prove_sharing
from services.router.prove_sealed import prove_cells, prove_reach
from services.router.residual import load_residual
from services.router.scenarios import load_scenarios, run
from services.router.situation import Situation, World
from services.router.view import load_views

app = typer.Typer(no_args_is_help=True)

Policies = Annotated[Path, typer.Option("--policies", help="Folder with partners.yaml, cedar/ and scenarios/.")]
Schemas = Annotated[Path, typer.Option("--schemas", help="Folder with the partners' views.")]
ProfileName = Annotated[str, typer.Option("--profile", help="Set of policies: `default`, or one for comparison.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document instead of a table.")]
Day = Annotated[datetime | None, typer.Option("--day", formats=["%Y-%m-%d"], help="Day to decide for; default today.")]

_POLICIES, _SCHEMAS = ROOT / "policies", ROOT / "schemas"


class Form(StrEnum):
    """How the matrix is written."""

    TABLE = "table"
    HTML = "html"
    CSV = "csv"
    JSON = "json"


def world(policies: Path, schemas: Path, profile: str, day: datetime | None) -> World:
    """All that decides on a day, with every fault of every file listed.

    Raises:
        ConfigError: listing the faults.
    """
    today = day.date() if day else london_day(int(datetime.now(UTC).timestamp() * 1000))
    return World(*lint.load(policies, schemas, profile), today)


@app.command()
def check(policies: Policies = _POLICIES, schemas: Schemas = _SCHEMAS) -> None:
    """List every fault at once: files, unreachable policies, unknown purposes, policies that no scenario decides."""
    faults = lint.faults(policies, schemas)
    for fault in faults:
        print(f"fault: {fault}")
    if faults:
        raise typer.Exit(Exit.FOUND)
    held = load_profile(policies, "default", for_service=True)
    partners = load_partners(policies / "partners.yaml").partners
    areas, views = load_areas(policies / "areas.yaml"), load_views(schemas / "partners")
    print(f"ok  {len(held.permits)} permits, {len(held.forbids)} forbids, {len(partners)} partners")
    print(f"ok  policy {held.digest}, areas {areas.digest}, views {views.digest}")


@app.command("test")
def scenarios(
    files: Annotated[Path | None, typer.Argument(help="Folder of scenario files; default policies/scenarios.")] = None,
    policies: Policies = _POLICIES,
    schemas: Schemas = _SCHEMAS,
    as_json: AsJson = False,
) -> None:
    """Decide every scenario; say which do not come out as told, and which policies no scenario decides."""
    held = dataclasses.replace(world(policies, schemas, "default", None), day=lint.SCENARIO_DAY)
    results = list(run(held, load_scenarios(files or policies / "scenarios")))
    failed = [result for result in results if result.faults]
    every = held.policies.permits | held.policies.forbids
    covered = frozenset().union(*(result.decided for result in results)) & every
    if as_json:
        document = {
            "scenarios": len(results),
            "failed": [{"file": r.file, "name": r.scenario.name, "faults": r.faults} for r in failed],
            "policies": len(every),
            "not_decided_by_any_scenario": sorted(every - covered),
        }
        print(json.dumps(document, indent=2))
    else:
        for result in failed:
            print(f"{result.file}: {result.scenario.name}")
            for fault in result.faults:
                print(f"    {fault}")
        print(f"{len(results) - len(failed)} of {len(results)} scenarios come out as told")
        print(
            f"{len(covered)} of {len(every)} policies decide one", *(f"\n    not: {n}" for n in sorted(every - covered))
        )
    if failed or every - covered:
        raise typer.Exit(Exit.FOUND)


@app.command()
def explain(
    partner: Annotated[str, typer.Argument(help="Id of the partner.")],
    feed: Annotated[str | None, typer.Option("--feed", help="Feed of the record.")] = None,
    agency: Annotated[str | None, typer.Option("--agency", help="Agency that sent it.")] = None,
    area: Annotated[str, typer.Option("--area", help="Borough by name or code, or `unknown`.")] = "Manchester",
    role: Annotated[list[str] | None, typer.Option("--role", help="A role in the record; may be repeated.")] = None,
    marker: Annotated[list[str] | None, typer.Option("--marker", help="A marker; may be repeated.")] = None,
    child: Annotated[bool, typer.Option("--child", help="A child is in the record.")] = False,
    consent: Annotated[bool, typer.Option("--consent", help="The person's consent is recorded.")] = False,
    entry: Annotated[Path | None, typer.Option("--entry", help="A ledger entry of the router instead: JSON.")] = None,
    policies: Policies = _POLICIES,
    schemas: Schemas = _SCHEMAS,
    profile: ProfileName = "default",
    day: Day = None,
    as_json: AsJson = False,
) -> None:
    """Say in plain words why PARTNER gets, or does not get, such a record, and on what basis."""
    held = world(policies, schemas, profile, day)
    if partner not in held.registry.by_id:
        raise ConfigError("explain", [f"`{partner}` is not a partner: `{'`, `'.join(held.registry.by_id)}`"])
    if entry is not None:
        told = policy_explain.from_entry(held, partner, entry)
    elif feed is None:
        raise ConfigError("explain", ["give `--feed`, or a ledger entry with `--entry`"])
    else:
        found = held.registry.by_id[partner]
        situation = Situation(
            feed=feed, agency=agency or found.agencies[0], area=area, roles=tuple(role or ["victim"]),
            markers=tuple(marker or []), child=child or "child" in (role or []),
        )  # fmt: skip
        if faults := situation.faults(held.areas):
            raise ConfigError("explain", faults)
        told = policy_explain.from_situation(held, partner, situation, consent=consent)
    print(json.dumps(msgspec.to_builtins(told), indent=2) if as_json else policy_explain.text(told))


@app.command()
def matrix(
    form: Annotated[Form, typer.Option("--format", help="How to write it.")] = Form.TABLE,
    policies: Policies = _POLICIES,
    schemas: Schemas = _SCHEMAS,
    profile: ProfileName = "default",
    day: Day = None,
) -> None:
    """Show for each partner, feed and role which records reach it, and whose copies could be joined."""
    held = world(policies, schemas, profile, day)
    write = {
        Form.TABLE: policy_matrix.table, Form.HTML: policy_matrix.html, Form.CSV: policy_matrix.csv,
        Form.JSON: policy_matrix.document,
    }[form]  # fmt: skip
    write(held)


@app.command()
def compare(
    first: Annotated[str, typer.Argument(help="A profile.")],
    second: Annotated[str, typer.Argument(help="Another profile.")],
    samples: Annotated[Path, typer.Option("--samples", help="Folder of sample records, .jsonl.")] = ROOT / "samples",
    policies: Policies = _POLICIES,
    schemas: Schemas = _SCHEMAS,
    day: Day = None,
    as_json: AsJson = False,
) -> None:
    """Decide the same records under two profiles: what would have gone to whom. Nothing is sent."""
    one, other = (world(policies, schemas, name, day) for name in (first, second))
    found = policy_compare.compare(one, other, samples, load_residual())
    if as_json:
        print(json.dumps(found.document(first, second), indent=2))
        return
    show(found.table(first, second))
    print(found.summary(first, second))


@app.command("prove")
def prove_(
    policies: Policies = _POLICIES,
    schemas: Schemas = _SCHEMAS,
    profile: ProfileName = "default",
    as_json: AsJson = False,
) -> None:
    """Enumerate every combination of the facts for every partner and check each guarantee; exit 1 if one breaks."""
    held = world(policies, schemas, profile, None)
    started = time.perf_counter()
    proofs = []
    console = Console(stderr=True)
    with console.status("enumerating ...") as status:
        for proof in prove(held.policies, held.registry.partners):
            proofs.append(proof)
            status.update(f"{len(proofs)} of {len(held.registry.partners)} partners: {proof.partner}")
    sharing = prove_sharing(held.registry)
    duties = load_duties(policies / "duties.yaml")
    topology = load_topology(load_settings().topology_file)
    reach, cells = prove_reach(topology, held.registry, duties.values()), prove_cells()
    seconds = time.perf_counter() - started
    if as_json:
        document = _proof_document(proofs, seconds)
        document["sharing_left_open"] = sharing.open
        document["G2_out_of_place"] = reach.faults
        document["G3_stands_out"] = cells.faults
        print(json.dumps(document, indent=2))
    else:
        _print_proofs(proofs, seconds)
        print(f"{sharing.combinations:,} combinations of two partners on one system: {len(sharing.open)} left open")
        print(f"G2: {reach.combinations:,} permissions on sealed topics, {len(reach.faults)} out of place")
        print(f"G3: {cells.combinations:,} make-ups of a quarter, {len(cells.faults)} in which somebody stands out")
        for fault in (*reach.faults, *cells.faults):
            print(f"    {fault}")
    if sharing.open or reach.faults or cells.faults or not all(proof.kept for proof in proofs):
        raise typer.Exit(Exit.FOUND)


@app.command("sign")
def sign_(
    manifest: Annotated[Path, typer.Argument(help="File of the manifest; made by the first person, signed by both.")],
    by: Annotated[str, typer.Option("--by", help="Your id in approvers.yaml.")],
    key: Annotated[Path, typer.Option("--key", help="File of your private key: 64 hex digits.")],
    reason: Annotated[str, typer.Option("--reason", help="Why this set is put in force.")],
    reference: Annotated[str, typer.Option("--reference", help="Number of the decision or minute.")],
    sequence: Annotated[
        int | None, typer.Option("--sequence", min=1, help="First person: number above the last.")
    ] = None,
    effective_from: Annotated[
        datetime | None, typer.Option("--effective-from", help="First person: UTC time of its beginning; default now.")
    ] = None,
    revoke: Annotated[
        list[str] | None, typer.Option("--revoke", help="First person: partner that closes at once; may be repeated.")
    ] = None,
    restore: Annotated[
        list[str] | None, typer.Option("--restore", help="First person: revoked partner that opens again.")
    ] = None,
    policies: Policies = _POLICIES,
) -> None:
    """Sign the policy set of a folder. The first person makes the manifest, the second signs the same one."""
    if manifest.exists():
        held = policy_sign.load(manifest)
        if sequence is not None or effective_from is not None or revoke or restore:
            raise ConfigError("manifest", [f"`{manifest.name}` is there: the second person changes nothing of it"])
    else:
        if sequence is None:
            raise ConfigError("manifest", [f"`{manifest.name}` is not there: the first person gives `--sequence`"])
        if found := lint.faults(policies, _SCHEMAS):
            raise ConfigError("policy set", found)
        held = policy_sign.start(
            policies, sequence=sequence, effective_from=effective_from, revoked=revoke or [], restored=restore or []
        )
    signed = policy_sign.add(held, policies, policy_sign.private_key(key), by=by, reason=reason, reference=reference)
    policy_sign.save(manifest, signed)
    print(f"manifest {signed.sequence}: set {signed.sha256[:16]}, from {signed.effective_from}")
    for what, partners in (("revokes", signed.revoked), ("restores", signed.restored)):
        if partners:
            print(f"{what} {', '.join(partners)}")
    print(f"signed by {', '.join(approval.by for approval in signed.approvals)}")


@app.command()
def publish(manifest: Annotated[Path, typer.Argument(help="A manifest that two persons signed.")]) -> None:
    """Put a signed manifest on `control`: every router decides by it from its time on."""
    settings = load_settings()
    held = policy_sign.load(manifest)
    policy_sign.publish(settings.kafka_config(), held, load_approvers(settings.approvers_file))
    print(f"manifest {held.sequence} is on `control`; in force from {held.effective_from}")


def _print_proofs(proofs: list[Proof], seconds: float) -> None:
    table = Table("partner", "purpose", "facts", "combinations", "allowed", "guarantees broken")
    for proof in proofs:
        table.add_row(
            proof.partner, proof.purpose, str(len(proof.facts)), f"{proof.combinations:,}", f"{proof.allowed:,}",
            ", ".join(broken.guarantee.name for broken in proof.broken) or "none",
        )  # fmt: skip
    show(table)
    for proof in proofs:
        for broken in proof.broken:
            print(f"{broken.guarantee.name} ({broken.guarantee.says}) is broken for {broken.partner}:")
            print("    " + ", ".join(f"{name}={_said(value)}" for name, value in sorted(broken.facts.items())))
        for facts in proof.differs:
            print(f"{proof.partner}: the router's guard answers otherwise than the tables for {dict(facts)}")
    count, checked = sum(proof.combinations for proof in proofs), sum(proof.cross_checked for proof in proofs)
    print(f"{COMBINATIONS:,} combinations of all facts for each partner; {count:,} after facts that no policy")
    print(f"of the partner's purpose reads were dropped. All enumerated in {seconds:.1f} s, none sampled;")
    print(f"{checked:,} asked from the router's own guard besides. This proves the policy over facts, not the facts.")


def _said(value: object) -> str:
    return "+".join(sorted(map(str, value))) or "none" if isinstance(value, frozenset) else str(value)


def _proof_document(proofs: list[Proof], seconds: float) -> dict[str, object]:
    return {
        "combinations_of_all_facts": COMBINATIONS,
        "combinations": sum(proof.combinations for proof in proofs),
        "asked_from_the_guard": sum(proof.cross_checked for proof in proofs),
        "seconds": round(seconds, 1),
        "proofs": [
            {
                "partner": proof.partner,
                "purpose": proof.purpose,
                "facts": proof.facts,
                "combinations": proof.combinations,
                "allowed": proof.allowed,
                "broken": {b.guarantee.name: {n: _said(v) for n, v in b.facts.items()} for b in proof.broken},
                "guard_differs": len(proof.differs),
            }
            for proof in proofs
        ],
    }
