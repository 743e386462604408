// The .npy format of NumPy: a magic number, a header that is a Python dictionary literal, the elements.
//   \x93NUMPY, version, header length, {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }, data
// Source: numpy.lib.format, versions 1.0, 2.0 and 3.0.
#pragma once

#include <filesystem>

#include "core/tensor.h"

namespace backlight {

/// Reads one array. Types: f4, f8, i8 and u1 as they are; f2 becomes f32; i1, i2, u2, i4, u4 become i64; b1
/// becomes u8. Arrays in column order (fortran_order) are put into row order. Throws one Error that names the
/// path when the file is missing, damaged, truncated, longer than its header says, big-endian, of another
/// type (complex, text, records) or of more than kMaxRank axes.
[[nodiscard]] Tensor read_npy(const std::filesystem::path& path);

/// Writes the tensor byte for byte as `numpy.save` does, atomically. Throws SystemError when writing fails.
void write_npy(const std::filesystem::path& path, const Tensor& tensor);

}  // namespace backlight
