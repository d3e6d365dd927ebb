#pragma once

#include "ptbert/models/initial_weights.h"
#include "ptbert/models/module.h"

namespace ptbert {

/// A copy of `item`, of the class that make() makes. In the 2019 library the layers of a stack are
/// deep copies of the first and draw no random numbers; copied here too, so that equal seeds give
/// equal models.
template <typename Item, typename Make>
Item copy_without_drawing(const Item& item, const Make& make) {
  const DefaultDevice meta(torch::kMeta);
  Item copy = make();
  const auto sources = item->modules();
  const auto targets = copy->modules();
  for (size_t i = 0; i < sources.size(); ++i) {
    auto& target = dynamic_cast<Node&>(*targets[i]);
    for (const auto& parameter : sources[i]->named_parameters(/*recurse=*/false))
      target.bind(parameter.key(), copy_of(*parameter).requires_grad_());
    for (const auto& buffer : sources[i]->named_buffers(/*recurse=*/false))
      target.bind(buffer.key(), buffer->clone());
  }
  return copy;
}

} // namespace ptbert
