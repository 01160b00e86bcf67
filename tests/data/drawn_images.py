"""Images of any type, shape and intensities, drawn by Hypothesis."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

NUMBERS = {
    np.uint8: st.integers(0, 255),
    np.int32: st.integers(-(2**31), 2**31 - 1),
    np.float32: st.floats(-1e6, 1e6, width=32),
    np.float64: st.floats(-1e12, 1e12),
}


def images(min_dims: int = 3, max_dims: int = 4) -> st.SearchStrategy[np.ndarray]:
    shapes = hnp.array_shapes(min_dims=min_dims, max_dims=max_dims, max_side=7)
    return st.sampled_from(sorted(NUMBERS, key=str)).flatmap(
        lambda dtype: hnp.arrays(dtype, shapes, elements=NUMBERS[dtype])
    )
