#pragma once

#include <string>

#include "ptbert/text/transfo_xl_tokenizer.h"

namespace ptbert {

/// The tokenizer of a folder: its vocab.bin or vocab.pkl, which are read without running Python, or
/// its vocab.txt with one token per line; or that of such a file. Throws FileError if there is
/// none, and FormatError if it is damaged or holds no vocabulary.
TransfoXLTokenizer load_transfo_xl_tokenizer(const std::string& path);

} // namespace ptbert
