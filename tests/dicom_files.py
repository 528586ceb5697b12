"""DICOM files that the tests draw for themselves: no patient is in them but a made-up one, where a test asks for it."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

from tests import drawing

PATIENT = {
    "PatientName": "Drawn^Face", "PatientID": "DRAWN-1", "PatientBirthDate": "20000101", "PatientSex": "O",
    "AccessionNumber": "ACC-1", "StudyID": "1", "ReferringPhysicianName": "Nobody^At", "StudyDate": "20261128",
    "StudyTime": "101112", "StudyDescription": "Drawn photographs",
}  # fmt: skip


def dicom(
    image: np.ndarray,
    stored: str = "native",
    colours: str = "RGB",
    planar: int = 0,
    frame: bytes | None = None,
    **attributes: Any,
) -> bytes:
    """A VL Photographic Image of uint8 [H, W, 3] RGB or [H, W] grey pixels.

    `stored`: native, implicit, big, rle, jpeg or j2k. `frame`: a compressed frame of one's own. `attributes`: by keyword.
    """
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.encaps import encapsulate
    from pydicom.uid import (
        ExplicitVRBigEndian,
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
        JPEG2000Lossless,
        JPEGBaseline8Bit,
        VLPhotographicImageStorage,
        generate_uid,
    )

    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = VLPhotographicImageStorage, generate_uid()
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.Modality = generate_uid(), generate_uid(), "XC"
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID"):
        setattr(ds, keyword, None)
    ds.AccessionNumber = ds.ReferringPhysicianName = None
    ds.SeriesNumber = ds.InstanceNumber = 1
    ds.Rows, ds.Columns = image.shape[:2]
    ds.SamplesPerPixel = 1 if image.ndim == 2 else 3
    ds.PhotometricInterpretation = colours
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    if image.ndim == 3:
        ds.PlanarConfiguration = planar
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    syntaxes = {"implicit": ImplicitVRLittleEndian, "big": ExplicitVRBigEndian, "jpeg": JPEGBaseline8Bit, "j2k": JPEG2000Lossless}
    ds.file_meta.TransferSyntaxUID = syntaxes.get(stored, ExplicitVRLittleEndian)
    if stored in ("jpeg", "j2k"):
        options = {"quality": 95, "subsampling": 0} if stored == "jpeg" else {"no_jp2": True}
        ds.PixelData = encapsulate([frame or drawing.encode(image, "JPEG" if stored == "jpeg" else "JPEG2000", **options)])
        ds["PixelData"].VR = "OB"
    else:
        ds.PixelData = _native(image, colours, planar)
        ds["PixelData"].VR = "OW" if stored == "implicit" else "OB"
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    if stored == "rle":
        from pydicom.uid import RLELossless

        ds.compress(RLELossless, generate_instance_uid=False)
    stream = io.BytesIO()
    ds.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def _native(image: np.ndarray, colours: str, planar: int) -> bytes:
    if colours.startswith("YBR"):
        image = np.asarray(Image.fromarray(image).convert("YCbCr"))
    if colours == "YBR_FULL_422":  # Y Y Cb Cr for two pixels
        pairs = image.reshape(image.shape[0], -1, 2, 3)
        return np.concatenate([pairs[..., 0], pairs[..., 0, 1:]], axis=-1).astype(np.uint8).tobytes()
    data = (np.moveaxis(image, 2, 0) if planar else image).tobytes()
    return data + b"\0" * (len(data) % 2)
