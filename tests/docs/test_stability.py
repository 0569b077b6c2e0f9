"""What is promised: the interface's version, the changelog, and how to cite."""

import re

import pytest
import yaml

from latentbench import __version__
from latentbench.loading import INTERFACE

# Citation File Format 1.2.0: what its schema requires, and the keys that it knows of a person and of an entity (schema.json, "definitions").
FILE = {"authors", "cff-version", "message", "title"}
REFERENCE = {"authors", "title", "type"}
PERSON = {
    *("address", "affiliation", "alias", "city", "country", "email", "family-names", "fax", "given-names"),
    *("name-particle", "name-suffix", "orcid", "post-code", "region", "tel", "website"),
}
ENTITY = {
    *("address", "alias", "city", "country", "date-end", "date-start", "email", "fax", "location", "name"),
    *("orcid", "post-code", "region", "tel", "website"),
}


@pytest.fixture(scope="module")
def citation(root):
    return yaml.safe_load((root / "CITATION.cff").read_text())


def test_the_interface_has_the_version_that_its_page_says(root):
    text = (root / "docs" / "stability.md").read_text()
    assert f"latentbench_interface = {INTERFACE}\n" in text
    assert f"this latentbench has interface {INTERFACE}:" in text


def test_the_citation_has_what_the_format_requires(citation):
    assert set(citation) >= FILE
    assert citation["cff-version"] == "1.2.0"
    assert all(set(reference) >= REFERENCE for reference in citation["references"])


def test_authors_are_persons_or_entities(citation):
    for author in [*citation["authors"], *(author for reference in citation["references"] for author in reference["authors"])]:
        assert set(author) <= (ENTITY if "name" in author else PERSON)
        assert "name" in author or {"family-names", "given-names"} <= set(author)


def test_the_paper_and_this_version_are_cited(citation):
    assert str(citation["version"]) == __version__
    (paper,) = citation["references"]
    assert (paper["title"], paper["year"]) == ("Poisson Variational Autoencoder", 2024)
    assert [author["family-names"] for author in paper["authors"]] == ["Vafaii", "Galor", "Yates"]


def test_the_changelog_has_this_version_and_keeps_its_form(root):
    text = (root / "CHANGELOG.md").read_text()
    versions = re.findall(r"^## \[(.*?)\](.*)$", text, re.MULTILINE)
    assert [name for name, _ in versions] in (["Unreleased"], ["Unreleased", __version__, *(name for name, _ in versions[2:])])
    assert all(re.fullmatch(r" - \d{4}-\d\d-\d\d", date) for _, date in versions[1:])
    assert set(re.findall(r"^### (.*)$", text, re.MULTILINE)) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_picture_of_a_report_is_small(root):
    assert 1_000 < (root / "docs" / "images" / "report.png").stat().st_size < 200_000
