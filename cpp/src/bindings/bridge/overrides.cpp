#include "overrides.h"

#include "bindings/tensors.h"
#include "natives.h"

namespace ptbert::python {
namespace {

/// What a node of Python returned, as the type that its C++ caller expects.
template <typename R> struct Result;

template <> struct Result<Tensor> {
  static Tensor from(const py::object& value, const std::string& path) {
    if (!THPVariable_Check(value.ptr())) {
      throw py::type_error("The output of `" + path + "` must be a torch.Tensor, but is " +
                           type_with_article(value) + ".");
    }
    return THPVariable_Unpack(value.ptr());
  }
};

template <> struct Result<std::vector<Tensor>> {
  static std::vector<Tensor> from(const py::object& value, const std::string& path) {
    if (!py::isinstance<py::sequence>(value)) {
      throw py::type_error("The output of `" + path + "` must be a list of tensors, but is " +
                           type_with_article(value) + ".");
    }
    if (py::len(value) == 0) {
      throw py::value_error("The output of `" + path +
                            "` must hold at least one tensor, but is empty.");
    }
    std::vector<Tensor> tensors;
    for (const auto& item : value) {
      tensors.push_back(Result<Tensor>::from(py::reinterpret_borrow<py::object>(item), path));
    }
    return tensors;
  }
};

std::pair<py::object, py::object> to_pair(const py::object& value, const std::string& path) {
  if (!py::isinstance<py::tuple>(value) || py::len(value) != 2) {
    throw py::type_error("The output of `" + path + "` must be a tuple of two, but is " +
                         type_with_article(value) + ".");
  }
  return {value[py::int_(0)], value[py::int_(1)]};
}

/// Attention weights of one layer, which nothing else that a node returns can be taken for.
Tensor to_attentions(const py::object& value, const std::string& path) {
  const auto attentions = Result<Tensor>::from(value, path);
  if (attentions.dim() != 4) {
    throw py::type_error("The output of `" + path +
                         "` must have its attentions first, of 4 dimensions, but has a tensor of " +
                         std::to_string(attentions.dim()) + " there.");
  }
  return attentions;
}

/// Takes the list of attention weights off the front of `value`, which has `count` parts without
/// it.
py::object take_attentions(const py::object& value, size_t count, std::vector<Tensor>& attentions,
                           const std::string& path) {
  if (!py::isinstance<py::tuple>(value) || py::len(value) != count + 1)
    return value;
  const py::object first = value[py::int_(0)];
  if (!py::isinstance<py::list>(first) && !py::isinstance<py::tuple>(first))
    return value;
  for (const auto& item : first) {
    const auto attention = py::reinterpret_borrow<py::object>(item);
    attentions.push_back(attention.is_none() ? Tensor() : to_attentions(attention, path));
  }
  if (count == 1)
    return value[py::int_(1)];
  return value[py::slice(1, py::len(value), 1)];
}

template <> struct Result<AttentionOutput> {
  static AttentionOutput from(const py::object& value, const std::string& path) {
    if (!py::isinstance<py::tuple>(value) || py::len(value) != 2)
      return {Result<Tensor>::from(value, path), {}};
    const auto [attentions, hidden_states] = to_pair(value, path);
    return {Result<Tensor>::from(hidden_states, path), to_attentions(attentions, path)};
  }
};

template <> struct Result<BertEncoderOutput> {
  static BertEncoderOutput from(const py::object& value, const std::string& path) {
    BertEncoderOutput output;
    const auto encoded_layers = take_attentions(value, 1, output.attentions, path);
    output.encoded_layers = Result<std::vector<Tensor>>::from(encoded_layers, path);
    return output;
  }
};

template <> struct Result<BertModelOutput> {
  static BertModelOutput from(const py::object& value, const std::string& path) {
    BertModelOutput output;
    const auto [encoded_layers, pooled_output] =
        to_pair(take_attentions(value, 2, output.attentions, path), path);
    if (THPVariable_Check(encoded_layers.ptr())) {
      output.encoded_layers = {THPVariable_Unpack(encoded_layers.ptr())};
    } else {
      output.encoded_layers = Result<std::vector<Tensor>>::from(encoded_layers, path);
    }
    output.pooled_output = Result<Tensor>::from(pooled_output, path);
    return output;
  }
};

template <> struct Result<BertPreTrainingScores> {
  static BertPreTrainingScores from(const py::object& value, const std::string& path) {
    const auto [prediction_scores, seq_relationship_score] = to_pair(value, path);
    return {Result<Tensor>::from(prediction_scores, path),
            Result<Tensor>::from(seq_relationship_score, path)};
  }
};

/// Calls `node`. A parameter that it should have as `module` has it, and has not, is named.
py::object call(const torch::nn::Module& module, py::handle node, const py::tuple& arguments,
                const std::string& path) {
  try {
    return node(*arguments);
  } catch (py::error_already_set& error) {
    const auto missing =
        error.matches(PyExc_AttributeError) ? missing_parameter(node, module) : std::string();
    if (missing.empty())
      throw;
    const auto message = "The model has no parameter `" + path + "." + missing + "`.";
    py::raise_from(error, PyExc_AttributeError, message.c_str());
    throw py::error_already_set();
  }
}

/// Whether modules with this output take a head mask, as their last argument.
template <typename R> constexpr bool takes_head_mask = false;
template <> constexpr bool takes_head_mask<AttentionOutput> = true;
template <> constexpr bool takes_head_mask<BertEncoderOutput> = true;
template <> constexpr bool takes_head_mask<BertModelOutput> = true;

template <typename Signature> struct Override;

template <typename R, typename... Args> struct Override<R(Args...)> {
  /// Sets the override where `module` has this signature.
  static bool call_python(torch::nn::Module& module, py::handle node, const std::string& path) {
    auto* overridable = dynamic_cast<Overridable<R(Args...)>*>(&module);
    if (overridable == nullptr)
      return false;
    overridable->set_override([&module, node, path](Args... args) -> R {
      const py::gil_scoped_acquire gil;
      auto arguments = py::make_tuple(to_python(args)...);
      // Modules of users who do without a head mask need not take one.
      if (takes_head_mask<R> && arguments[arguments.size() - 1].is_none())
        arguments = arguments[py::slice(0, arguments.size() - 1, 1)];
      return Result<R>::from(call(module, node, arguments, path), path);
    });
    return true;
  }

  static bool raise(torch::nn::Module& module, const std::string& path) {
    auto* overridable = dynamic_cast<Overridable<R(Args...)>*>(&module);
    if (overridable == nullptr)
      return false;
    overridable->set_override([path](Args...) -> R {
      const py::gil_scoped_acquire gil;
      PyErr_SetString(PyExc_AttributeError, ("The model has no module `" + path + "`.").c_str());
      throw py::error_already_set();
    });
    return true;
  }
};

/// The signatures of all modules that are called by others.
template <template <typename> typename Action, typename Function>
bool for_any_signature(Function function) {
  const auto& t = function;
  return t(Action<Tensor(const Tensor&)>()) || t(Action<Tensor(const Tensor&, const Tensor&)>()) ||
         t(Action<AttentionOutput(const Tensor&, const Tensor&, const Tensor&)>()) ||
         t(Action<BertEncoderOutput(const Tensor&, const Tensor&, bool, const Tensor&)>()) ||
         t(Action<BertModelOutput(const Tensor&, const Tensor&, const Tensor&, bool,
                                  const Tensor&)>()) ||
         t(Action<BertPreTrainingScores(const Tensor&, const Tensor&)>());
}

} // namespace

void override_with_python(torch::nn::Module& module, py::handle node, const std::string& path) {
  const bool found = for_any_signature<Override>(
      [&](auto signature) { return decltype(signature)::call_python(module, node, path); });
  TORCH_INTERNAL_ASSERT(found, "no override for the signature of ", module.name());
}

void override_as_missing(torch::nn::Module& module, const std::string& path) {
  const bool found = for_any_signature<Override>(
      [&](auto signature) { return decltype(signature)::raise(module, path); });
  TORCH_INTERNAL_ASSERT(found, "no override for the signature of ", module.name());
}

Activation python_activation(py::handle function, const std::string& path) {
  return [function, path](const Tensor& x) {
    const py::gil_scoped_acquire gil;
    return Result<Tensor>::from(function(to_python(x)), path);
  };
}

} // namespace ptbert::python
