"""Noise, blur, sharpness and contrast of pixels: uint8 [row, column, channel] in, the same form out."""

from __future__ import annotations

import numpy as np

from mmdata.kernels.image.color import as_array


def blur(pixels: np.ndarray, *, sigma_px: float) -> np.ndarray:
    """Gaussian blur; what lies beyond the edges is the picture mirrored, its edge pixels not repeated."""
    import cv2

    return as_array(cv2.GaussianBlur(pixels, (0, 0), sigma_px)).reshape(pixels.shape)


_ABOVE_ZERO = 0.5  # levels: a quotient needs both above zero


def sharpen(pixels: np.ndarray, *, radius_px: float, amount: float) -> np.ndarray:
    """Unsharp masking: add `amount` times what a Gaussian blur of deviation `radius_px` takes away, and clip."""
    import cv2

    values = pixels.astype(np.float32)
    detail = values - as_array(cv2.GaussianBlur(values, (0, 0), radius_px)).reshape(pixels.shape)
    sharper: np.ndarray = np.clip(np.rint(values + np.float32(amount) * detail), 0, 255).astype(np.uint8)
    return sharper


def deblur(pixels: np.ndarray, *, radius_px: float, n_steps: int) -> np.ndarray:
    """Undo a Gaussian blur of deviation `radius_px`, as far as so many steps of Richardson and Lucy come.

    Each step multiplies the estimate by the blurred quotient of what was seen and the estimate blurred. More steps
    bring out finer detail, and noise with it. Richardson, "Bayesian-based iterative method of image restoration", 1972;
    Lucy, "An iterative technique for the rectification of observed distributions", 1974.

    Args:
        pixels: uint8 [row, column, channel]. Beyond the borders a picture goes on mirrored.
        radius_px: of the blur.
        n_steps: how many.

    Returns:
        uint8 [row, column, channel].
    """
    import cv2

    def blurred(values: np.ndarray) -> np.ndarray:
        return as_array(cv2.GaussianBlur(values, (0, 0), radius_px)).reshape(pixels.shape)

    seen = pixels.astype(np.float32) + np.float32(_ABOVE_ZERO)
    estimate = seen.copy()
    for _ in range(n_steps):
        estimate *= blurred(seen / blurred(estimate))
    clear: np.ndarray = np.clip(np.rint(estimate - np.float32(_ABOVE_ZERO)), 0, 255).astype(np.uint8)
    return clear


def equalize(pixels: np.ndarray, *, clip_limit: float, n_tiles: int) -> np.ndarray:
    """Contrast-limited adaptive histogram equalisation (CLAHE), of the lightness where there are colours.

    Zuiderveld, "Contrast limited adaptive histogram equalization" (Graphics Gems IV, 1994), as OpenCV has it.

    Args:
        pixels: uint8 [row, column, channel].
        clip_limit: the most a level may hold, in multiples of an even share; 1 changes least.
        n_tiles: tiles a side, each equalised on its own and blended with its neighbours.
    """
    import cv2

    clahe = cv2.createCLAHE(clip_limit, (n_tiles, n_tiles))
    if pixels.shape[2] == 1:
        return as_array(clahe.apply(pixels[..., 0])).reshape(pixels.shape)
    lab = as_array(cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB))
    lab[..., 0] = clahe.apply(np.ascontiguousarray(lab[..., 0]))
    return as_array(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB))


def median(pixels: np.ndarray, *, size_px: int) -> np.ndarray:
    """Each pixel the median of a square around it, channel by channel; edges are repeated outwards.

    Args:
        pixels: uint8 [row, column, channel].
        size_px: side of the square, odd.
    """
    import cv2

    return as_array(cv2.medianBlur(pixels, size_px)).reshape(pixels.shape)


def bilateral(pixels: np.ndarray, *, sigma_px: float, sigma_levels: float) -> np.ndarray:
    """Average over neighbours that are near in place and in colour, which keeps edges.

    Tomasi and Manduchi, "Bilateral filtering for gray and color images" (ICCV 1998).
    """
    import cv2

    return as_array(cv2.bilateralFilter(pixels, 0, sigma_levels, sigma_px)).reshape(pixels.shape)


def non_local_means(pixels: np.ndarray, *, strength: float) -> np.ndarray:
    """Average over pixels whose 7 x 7 surroundings look alike, within 21 x 21 px.

    Buades, Coll and Morel, "A non-local algorithm for image denoising" (CVPR 2005), as OpenCV has it: colours in CIE
    L*a*b*. It takes a second or two for a million pixels.

    Args:
        pixels: uint8 [row, column, channel].
        strength: how unlike surroundings may be, in levels; about that of the noise.
    """
    import cv2

    if pixels.shape[2] == 1:
        return as_array(cv2.fastNlMeansDenoising(pixels, h=strength)).reshape(pixels.shape)
    return as_array(cv2.fastNlMeansDenoisingColored(pixels, h=strength, hColor=strength))


def jpeg_artefacts(pixels: np.ndarray, *, quality: int) -> np.ndarray:
    """What is left of a picture that was a baseline JPEG: chroma at half size, `quality` from 1 to 100."""
    import cv2

    _, data = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    flags = cv2.IMREAD_GRAYSCALE if pixels.shape[2] == 1 else cv2.IMREAD_COLOR_RGB
    return as_array(cv2.imdecode(data, flags)).reshape(pixels.shape)
