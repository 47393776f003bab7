"""The parts of the API server's answers that are read. Nothing else of them is kept."""

from __future__ import annotations

import msgspec


class Manager(msgspec.Struct, frozen=True):
    """Who set fields of an object last, through which subresource."""

    manager: str = ""
    subresource: str = ""


class Metadata(msgspec.Struct, frozen=True, rename="camel"):
    """Of any object."""

    resource_version: str = ""
    managed_fields: tuple[Manager, ...] = ()


class ScaleSpec(msgspec.Struct, frozen=True):
    """Go leaves a zero out."""

    replicas: int = 0


class ScaleRow(msgspec.Struct, frozen=True):
    """autoscaling/v1 Scale: how many replicas are wanted."""

    metadata: Metadata = Metadata()
    spec: ScaleSpec = ScaleSpec()


class ObjectRow(msgspec.Struct, frozen=True):
    """meta/v1 PartialObjectMetadata."""

    metadata: Metadata = Metadata()


class StatusRow(msgspec.Struct, frozen=True):
    """meta/v1 Status: why a call failed."""

    message: str = ""
