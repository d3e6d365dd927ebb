#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace ptbert {

/// A private, writable mapping of a whole file: writing to it does not change the file.
class MappedFile {
public:
  /// Throws FileError when the file cannot be opened or mapped.
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  char* data() const { return static_cast<char*>(data_); }
  size_t size() const { return size_; }
  std::string_view bytes() const { return {data(), size_}; }

private:
  void* data_ = nullptr;
  size_t size_ = 0;
};

} // namespace ptbert
