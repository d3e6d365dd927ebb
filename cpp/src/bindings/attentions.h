#pragma once

#include "tensors.h"

/// Attention weights in the results of a module. As in the 2019 library they come first, if
/// `output_attentions` is set.

namespace ptbert::python {

/// Puts the attention weights of all layers, if there are any, in front of `output`.
inline py::object with_attentions(const std::vector<Tensor>& attentions, py::object output) {
  if (attentions.empty())
    return output;
  if (!py::isinstance<py::tuple>(output))
    return py::make_tuple(to_python(attentions), output);
  return py::make_tuple(to_python(attentions)) + output;
}

/// A layer's output, behind its attention weights if there are any.
inline py::object with_layer_attentions(const Tensor& attentions, const Tensor& hidden_states) {
  if (!attentions.defined())
    return to_python(hidden_states);
  return py::make_tuple(to_python(attentions), to_python(hidden_states));
}

/// The attention weights of one layer; throws TypeError unless they are a tensor of 4 dimensions.
inline Tensor attentions_from_python(const py::object& value, const std::string& path) {
  const auto attentions = Convert<Tensor>::from_python(value, path);
  if (attentions.dim() != 4) {
    throw py::type_error("The output of `" + path +
                         "` must have its attentions first, of 4 dimensions, but has a tensor of " +
                         std::to_string(attentions.dim()) + " there.");
  }
  return attentions;
}

/// The attention weights, undefined if there are none, and the output of a layer.
inline std::pair<Tensor, Tensor> take_layer_attentions(const py::object& value,
                                                       const std::string& path) {
  if (!py::isinstance<py::tuple>(value) || py::len(value) != 2)
    return {Tensor(), Convert<Tensor>::from_python(value, path)};
  const auto [attentions, hidden_states] = pair_from_python(value, path);
  return {attentions_from_python(attentions, path),
          Convert<Tensor>::from_python(hidden_states, path)};
}

/// Moves the list of attention weights, if there is one, from the front of `value` to
/// `attentions`; returns the rest, which has `count` parts.
inline py::object take_attentions(const py::object& value, size_t count,
                                  std::vector<Tensor>& attentions, const std::string& path) {
  if (!py::isinstance<py::tuple>(value) || py::len(value) != count + 1)
    return value;
  const py::object first = value[py::int_(0)];
  if (!py::isinstance<py::list>(first) && !py::isinstance<py::tuple>(first))
    return value;
  for (const auto& item : first) {
    const auto attention = py::reinterpret_borrow<py::object>(item);
    attentions.push_back(attention.is_none() ? Tensor() : attentions_from_python(attention, path));
  }
  if (count == 1)
    return value[py::int_(1)];
  return value[py::slice(1, py::len(value), 1)];
}

/// The losses of a model with two heads, without those that are undefined.
inline py::list losses_to_python(const Tensor& lm_loss, const Tensor& mc_loss) {
  py::list losses;
  for (const auto& loss : {lm_loss, mc_loss}) {
    if (loss.defined())
      losses.append(to_python(loss));
  }
  return losses;
}

} // namespace ptbert::python
