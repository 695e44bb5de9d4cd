"""XML element by element: little memory, and limits that are told."""

from __future__ import annotations

import tracemalloc

import pytest

from histoprompt.core.errors import LabelError
from histoprompt.core.files import xml_stream
from histoprompt.core.files.xml_stream import xml_elements
from histoprompt.pipelines.formats import grand_challenge, imagescope
from histoprompt.pipelines.formats.annotation import Reading

VERTICES = "".join(f'<Vertex X="{x}" Y="{y}"/>' for x, y in ((0, 0), (9, 0), (9, 9), (0, 9)) * 25)
COORDINATES = "".join(f'<Coordinate Order="{i}" X="{i}" Y="{i * i}"/>' for i in range(100))
REGION = f"<Vertices>{VERTICES}</Vertices></Region>"
REGIONS = "".join(f'<Region Id="{i}">{REGION}' for i in range(1, 1_000))
ANNOTATION = f'<Annotation PartOfGroup="a"><Coordinates>{COORDINATES}</Coordinates></Annotation>'


@pytest.mark.parametrize(
    ("reader", "text"),
    [
        (
            imagescope,
            f'<Annotations><Annotation Id="1" LineColor="197121">{REGIONS}'
            "</Annotation></Annotations>",
        ),
        (
            grand_challenge,
            f"<ASAP_Annotations><Annotations>{ANNOTATION * 999}</Annotations>"
            '<AnnotationGroups><Group Name="a" Color="#010203"/></AnnotationGroups>'
            "</ASAP_Annotations>",
        ),
    ],
)
def test_memory_does_not_grow_with_the_file(reader, text, tmp_path):
    path = tmp_path / "x.xml"
    path.write_text(text)
    assert path.stat().st_size > 2_000_000
    found, colours = 0, set()
    tracemalloc.start()
    for item in reader.read(Reading(path, (100, 100))):
        found += 1
        colours.add(item.colour)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == 999
    assert peak < 1_000_000, f"{peak:,} bytes for a file of {path.stat().st_size:,}"
    assert colours == {(1, 2, 3)}


def test_a_layer_of_imagescope_is_known_before_its_regions(tmp_path):
    def region(number, side, more=""):
        corners = ((0, 0), (side, 0), (side, side), (0, side))
        points = "".join(f'<Vertex X="{x}" Y="{y}"/>' for x, y in corners)
        return f'<Region Id="{number}" {more}><Vertices>{points}</Vertices></Region>'

    first = region(1, 10) + region(2, 4, 'NegativeROA="1"')
    late = '<Attributes><Attribute Name="gland"/></Attributes>'
    path = tmp_path / "x.xml"
    path.write_text(
        f'<Annotations><Annotation Id="1">{first}{late}</Annotation><Annotation Id="2"/>'
        f'<Annotation Id="3" Name="b">{region(1, 8)}</Annotation></Annotations>'
    )
    found = list(imagescope.read(Reading(path, (100, 100))))
    assert [(a.class_name, a.id, a.polygons[0].area) for a in found] == [
        ("gland", 1, 84.0),
        ("b", 0, 64.0),
    ]
    assert found[1].where == "layer 3, region 1"


def test_limits_are_told(tmp_path, monkeypatch):
    path = tmp_path / "x.xml"
    path.write_text("<a><b><c/><c/><c/></b><d/></a>")
    assert [len(e.element) for e in xml_elements(path, ("b",))] == [3]
    assert [e.around[0].tag for e in xml_elements(path, ("d",))] == ["a"]
    monkeypatch.setattr(xml_stream, "MOST_PARTS", 2)
    with pytest.raises(LabelError, match="a b of more than 2 parts"):
        list(xml_elements(path, ("b",)))
    path.write_text("<a><b></a>")
    with pytest.raises(LabelError, match=r"x\.xml is not readable XML"):
        list(xml_elements(path, ("b",)))
    with pytest.raises(LabelError, match="no file"):
        list(xml_elements(tmp_path, ("b",)))
    with pytest.raises(LabelError, match="cannot be read"):
        list(xml_elements(tmp_path / "none.xml", ("b",)))
