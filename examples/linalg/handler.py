"""Solves, factors and checks matrices with numpy, and says how far each result is from exact."""

import numpy as np

LARGEST = 400


def handler(event, context):
    if "matrix" in event:
        matrix = np.asarray(event["matrix"], dtype=float)
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.shape[0] > LARGEST:
            raise ValueError(f"matrix must be square, with at most {LARGEST} rows")
        right = np.asarray(event.get("right", np.ones(len(matrix))), dtype=float)
    else:
        size = int(event.get("size", 120))
        if not 1 <= size <= LARGEST:
            raise ValueError(f"size must be between 1 and {LARGEST}")
        generator = np.random.default_rng(int(event.get("seed", 0)))
        # Diagonally dominant, so that it can always be solved.
        matrix = generator.standard_normal((size, size)) + 2 * np.sqrt(size) * np.eye(size)
        right = generator.standard_normal(size)

    solution = np.linalg.solve(matrix, right)
    left, singular, right_t = np.linalg.svd(matrix)
    symmetric = (matrix + matrix.T) / 2
    values, vectors = np.linalg.eigh(symmetric)
    q, r = np.linalg.qr(matrix)

    residuals = {
        "solve": np.linalg.norm(matrix @ solution - right),
        "svd": np.linalg.norm(left * singular @ right_t - matrix),
        "eigen": np.linalg.norm(vectors * values @ vectors.T - symmetric),
        "qr": np.linalg.norm(q @ r - matrix),
    }
    scale = max(np.linalg.norm(matrix), 1.0)
    return {
        "size": len(matrix),
        "solution": [round(float(x), 9) for x in solution[:5]],
        "determinant_log10": round(float(np.linalg.slogdet(matrix)[1] / np.log(10)), 6),
        "condition": round(float(singular[0] / singular[-1]), 4),
        "eigenvalues": [round(float(v), 6) for v in (values[0], values[-1])],
        "residuals": {name: float(value) for name, value in residuals.items()},
        "accurate": bool(all(value < 1e-10 * scale for value in residuals.values())),
    }
