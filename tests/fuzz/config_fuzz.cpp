// Configurations of every family: what is read is written, and read again, unchanged.

#include <c10/util/Exception.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "fuzz_support.h"
#include "ptbert/errors.h"
#include "ptbert/models/bert_config.h"
#include "ptbert/models/gpt2_config.h"
#include "ptbert/models/openai_gpt_config.h"
#include "ptbert/models/transfo_xl_config.h"

namespace ptbert::fuzz {
namespace {

template <typename Config> void check(const std::string& text) {
  try {
    const Config config = Config::from_json(text);
    const std::string written = config.to_json();
    require(Config::from_json(written).to_json() == written, "what was written is read unchanged");
    config.check();
  } catch (const FormatError&) {
    // No configuration.
  } catch (const c10::ValueError&) {
    // One that no model has.
  }
}

} // namespace
} // namespace ptbert::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  ptbert::fuzz::check<ptbert::BertConfig>(text);
  ptbert::fuzz::check<ptbert::GPT2Config>(text);
  ptbert::fuzz::check<ptbert::OpenAIGPTConfig>(text);
  ptbert::fuzz::check<ptbert::TransfoXLConfig>(text);
  return 0;
}
