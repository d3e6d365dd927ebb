// vocab.bin and vocab.pkl: pickles of plain data, on their own, in the format of torch before 1.6,
// or in a zip archive.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "fuzz_support.h"
#include "ptbert/errors.h"
#include "ptbert/files/transfo_xl_vocabulary.h"

extern "C" const char* __lsan_default_suppressions() { return "leak:mz_zip_reader"; }

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const ptbert::fuzz::TemporaryFolder folder;
  const auto path = folder.write("vocab.pkl", {reinterpret_cast<const char*>(data), size}).string();
  try {
    ptbert::load_transfo_xl_tokenizer(path).tokenize("a b");
  } catch (const ptbert::FormatError&) {
    // Damaged, or no vocabulary.
  }
  return 0;
}
