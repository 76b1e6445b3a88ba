"""Pictures that a camera shows: eight stripes, black or white, are the bits of a number that any scaling leaves readable.

Frames are I420 as numpy arrays of bytes, planes one after another.
"""

import numpy

BLACK, WHITE = 30, 220


class Picture:
    """What one camera shows: a number from 1 to 254, and a line that moves, so that no frame is like the one before."""

    def __init__(self, number, width, height):
        self.number, self.width, self.height = number, width, height
        y = numpy.empty((height, width), dtype=numpy.uint8)
        for bit in range(8):
            left, right = bit * width // 8, (bit + 1) * width // 8
            y[:, left:right] = WHITE if number >> (7 - bit) & 1 else BLACK
        self.luma = y
        half = (height // 2) * (width // 2)
        self.chroma = bytes([128]) * (2 * half)

    def frame(self, count):
        y = self.luma.copy()
        # In the lower fifth, which the reader does not look at.
        row = self.height * 4 // 5 + count * 4 % max(1, self.height // 5 - 4)
        y[row : row + 4, :] = 128
        return y.tobytes() + self.chroma


def number_of(luma, width, height, stride=None):
    """The number that a picture shows; None where a stripe is neither black nor white."""
    plane = numpy.frombuffer(luma, dtype=numpy.uint8)[: (stride or width) * height].reshape(height, stride or width)
    number = 0
    for bit in range(8):
        left, right = bit * width // 8, (bit + 1) * width // 8
        edge = max(1, (right - left) // 4)
        mean = plane[height // 5 : height * 3 // 5, left + edge : max(left + edge + 1, right - edge)].mean()
        if abs(mean - BLACK) < 50:
            number <<= 1
        elif abs(mean - WHITE) < 50:
            number = number << 1 | 1
        else:
            return None
    return number
