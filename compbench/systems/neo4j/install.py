"""How Neo4j Community is had from Maven Central: a pom with its server, whose libraries Maven copies to a folder."""

from __future__ import annotations

from compbench.systems.installation import Installation

VERSION = "2026.08.1"
_DEPENDENCY = "<dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version></dependency>"
POM = f"""\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>compbench</groupId>
  <artifactId>neo4j</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    {_DEPENDENCY.format("org.neo4j", "neo4j", VERSION)}
    {_DEPENDENCY.format("org.neo4j.app", "neo4j-server", VERSION)}
  </dependencies>
</project>
"""
# The plugin is pinned too; `--strict-checksums`: a file whose checksum is not the repository's ends the installation.
_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
_MAVEN = ("mvn", "--quiet", "--batch-mode", "--strict-checksums", "--file", "{folder}/pom.xml")

INSTALLATION = Installation(
    version=VERSION,
    result=f"lib/neo4j-server-{VERSION}.jar",
    commands=(
        (
            *_MAVEN,
            *("-Dmaven.repo.local={folder}/m2", _PLUGIN),
            *("-DincludeScope=runtime", "-DoutputDirectory={folder}/lib"),
        ),
        ("{python}", "-c", "import shutil, sys; shutil.rmtree(sys.argv[1])", "{folder}/m2"),
    ),
    files={"pom.xml": POM},
    tools={"mvn": "Maven fetches Neo4j's libraries", "java": "Maven and Neo4j run on it; Neo4j needs Java 25"},
    download_mb=170,
    licence="GPLv3 (Community Edition)",
    remark=(
        "Maven compares each file with the checksum (SHA-1) that the repository tells; it keeps no list of its own."
        " Its own repository is in the folder, and removed when the libraries are copied"
    ),
)
