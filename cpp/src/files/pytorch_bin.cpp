#include <caffe2/serialize/inline_container.h>

#include <cstring>
#include <fstream>
#include <string_view>

#include "cannot_open.h"
#include "ptbert/errors.h"
#include "ptbert/files/checkpoint.h"
#include "unpickler.h"

namespace ptbert {
namespace {

NamedTensors read_archive(const std::string& path) {
  caffe2::serialize::PyTorchStreamReader archive(path);
  const auto text_of = [](const at::DataPtr& data, size_t size) {
    return std::string_view(static_cast<const char*>(data.get()), size);
  };
  if (archive.hasRecord("byteorder")) {
    const auto [order, size] = archive.getRecord("byteorder");
    if (text_of(order, size) != "little")
      throw FormatError("was written on a big-endian machine");
  }
  const auto [program, size] = archive.getRecord("data.pkl");
  return unpickle_tensors(text_of(program, size), [&archive](const std::string& name) {
    auto [data, size] = archive.getRecord(name);
    return torch::Storage(torch::Storage::use_byte_size_t(), size, std::move(data));
  });
}

} // namespace

NamedTensors load_pytorch_bin(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file)
    throw cannot_open(path);
  char start[4] = {};
  file.read(start, sizeof start);
  if (std::memcmp(start, "\x80\x02", 2) == 0) {
    throw FormatError("`" + path +
                      "` must be in the zip format of torch.save, but is in the format of torch "
                      "before 1.6. Convert it once: python -c \"import torch; f = '" +
                      path +
                      "'; torch.save(torch.load(f, map_location='cpu', weights_only=True), f)\"");
  }
  const auto fail = [&path](const std::string& why) -> FormatError {
    return FormatError("`" + path +
                       "` must hold a dictionary of tensors saved by torch.save, but " + why + ".");
  };
  if (std::memcmp(start, "PK\x03\x04", 4) != 0)
    throw fail("is truncated or of another format. Download or save it again");
  try {
    return read_archive(path);
  } catch (const FormatError& error) {
    throw fail(error.what());
  } catch (const c10::Error& error) {
    throw fail("is truncated or damaged (" + std::string(error.what_without_backtrace()) +
               "). Download or save it again");
  } catch (const std::exception& error) { // such as a version number that is not a number
    throw fail("is damaged (" + std::string(error.what()) + "). Download or save it again");
  }
}

} // namespace ptbert
