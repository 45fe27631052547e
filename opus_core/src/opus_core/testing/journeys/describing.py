"""Journeys of job descriptions: published, shown, exported and read again."""

from __future__ import annotations

from dataclasses import fields

from opus_core.definition import (
    GeneratedDescription,
    JobDefinition,
    Option,
    ParameterDescription,
    ParameterType,
    UsedDescription,
)
from opus_core.errors import CannotCarry
from opus_core.testing.journeys.stage import OnStage, Stage


def described(name: str) -> JobDefinition:
    """A description that says something in most of its fields."""
    typed = tuple(
        ParameterDescription(name=f"a_{kind.value}", type=kind, description=f"Of type {kind}")
        for kind in ParameterType
    )
    return JobDefinition(
        name=name,
        description="Describes <everything> & more",
        contact_name="Ann Ömer",
        contact_email="ann@example.org",
        version="1.2",
        parameters=(
            *typed,
            ParameterDescription(name="needed", required=True),
            ParameterDescription(
                name="mode",
                default="fast",
                options=(Option(value="fast", description="Soon"), Option(value="exact")),
            ),
            ParameterDescription(
                name="width",
                type=ParameterType.DOUBLE,
                default="0.5",
                minimum="0",
                maximum="1",
                unit="arcsec",
                ucd="phys.angSize",
            ),
        ),
        used=(UsedDescription(name="image", required=True, content_type="image/fits"),),
        generated=(
            GeneratedDescription(name="map", default="map.fits", content_type="image/fits"),
            GeneratedDescription(name="log", default="log.txt", required=True),
        ),
        script='#!/bin/bash\nprintf "%s" "$needed" > "$log"\n',
        execution_duration=600,
        quote=60,
    )


class DescribeJourneys(OnStage):
    """What was published is what the site shows, exports and reads."""

    def test_a_description_comes_back_as_it_was_published(self, stage: Stage) -> None:
        wanted = self._published(stage)
        catalogue = stage.catalogue()
        self._equal(stage, catalogue.read(catalogue.published(wanted.name).ref), wanted)
        target = stage.folder / "exported"
        exported = stage.opus("jdl", "export", wanted.name, "-o", str(target), check=False)
        assert exported.returncode == 0, f"{stage.jdl}: opus jdl export said {exported.stderr}"
        scripts = stage.folder.glob("exported.script")
        beside = [word for one in scripts for word in ("--script", str(one))]
        again = stage.opus(
            *("jdl", "import", str(target), *beside, "--name", wanted.name, "--publish"),
            check=False,
        )
        assert again.stdout == f"{wanted.name} is published as version 1\n", (
            f"what {stage.jdl} exports is, read again, what was published;"
            f" opus jdl import said {again.stdout}{again.stderr}"
        )

    def test_a_server_shows_every_parameter_that_was_described(self, stage: Stage) -> None:
        wanted = self._published(stage)
        shown = stage.document(f"/jdl/{wanted.name}")
        for kind in ("parameters", "used", "generated"):
            names = {one["name"] for one in shown[kind]}
            lost = [one.name for one in getattr(wanted, kind) if one.name not in names]
            assert not lost, f"{stage.jdl} has lost {kind} {', '.join(lost)}"

    def _published(self, stage: Stage) -> JobDefinition:
        """What was published: all of it, or what the format has words for, as it says itself."""
        wanted = described(f"{stage.name}-described")
        jdl = stage.catalogue().format(stage.loaded.jdl.use)
        try:
            bundle = jdl.dumps(wanted)
        except CannotCarry:
            bundle = jdl.dumps(wanted, lossy=True)
            wanted = jdl.loads(bundle.data, bundle.files)
        self._equal(stage, jdl.loads(bundle.data, bundle.files), wanted)
        stage.publish(wanted)
        return wanted

    @staticmethod
    def _equal(stage: Stage, found: JobDefinition, wanted: JobDefinition) -> None:
        for kind in ("parameters", "used", "generated"):
            names = [one.name for one in getattr(found, kind)]
            lost = [one.name for one in getattr(wanted, kind) if one.name not in names]
            assert not lost, f"{stage.jdl} has lost {kind} {', '.join(lost)}"
        for one in fields(JobDefinition):
            back, given = getattr(found, one.name), getattr(wanted, one.name)
            assert back == given, f"{stage.jdl} gives back another {one.name}"
