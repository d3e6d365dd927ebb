#include "bridge.h"

#include <algorithm>
#include <variant>

#include "bindings/module.h"
#include "bindings/tensors.h"
#include "node_kinds.h"
#include "overrides.h"
#include "ptbert/models/layers.h"

namespace ptbert::python {
namespace {

/// Drops the bridge of a child node that was once called directly. It would keep alive tensors that
/// are replaced later; the next direct call makes another.
void drop_bridge(py::handle node) {
  const auto attributes = dict_of(node);
  if (PyDict_GetItemWithError(attributes.ptr(), bridge_key()) != nullptr)
    PyDict_DelItem(attributes.ptr(), bridge_key());
}

/// Returns function(), hidden from torch.compile, which would warn about the extension's classes.
py::object call_uncompiled(const py::object& function) {
  const bool may_compile = py::module_::import("sys").attr("modules").contains("torch._dynamo");
  return may_compile ? py::module_::import("torch.compiler").attr("disable")(function)()
                     : function();
}

/// The first parameter of an nn.ParameterList that C++ cannot read, for a message.
std::string unfit_parameter(py::handle list) {
  for (const auto& [name, value] : list.attr("_parameters").cast<py::dict>()) {
    const auto type = type_of(value);
    const auto text = name.cast<std::string>();
    const bool numbered = text.find_first_not_of("0123456789") == std::string::npos;
    if (!numbered || !(type.is(known().parameter) || type.is(known().tensor)))
      return type_with_article(value) + " as `" + text + "`";
  }
  return "others";
}

/// Sets an attribute of a C++ module to the value of its node.
struct SetAttribute {
  Node& module;
  py::object value;
  std::string path;

  void operator()(double* member) const { *member = cast<double>("a number"); }
  void operator()(bool* member) const { *member = cast<bool>("a bool"); }
  void operator()(int64_t* member) const {
    *member = value.is_none() ? -1 : cast<int64_t>("an int");
  }
  void operator()(Activation* member) const {
    const auto& activations = known().activations;
    const bool in_cpp = activations.contains(value);
    module.set_has_user_activation(!in_cpp);
    *member = in_cpp ? ptbert::activations().at(activations[value].cast<std::string>())
                     : python_activation(value, path);
  }

  template <typename T> T cast(const char* expected) const {
    try {
      return value.cast<T>();
    } catch (const py::cast_error&) {
      throw py::type_error("`" + path + "` must be " + expected + ", but is " +
                           type_with_article(value) + ".");
    }
  }
};

} // namespace

Twin::Twin(py::object module) : module_(std::move(module)), forward_(module_.attr("forward")) {}

void Twin::rebuild(py::handle root) {
  bound_nodes_.clear();
  called_nodes_.clear();
  classes_.clear();
  global_hooks_ = any(known().global_hooks);
  walk(root, *module_.cast<std::shared_ptr<torch::nn::Module>>(), "", /*is_root=*/true);
}

void Twin::walk(py::handle node, torch::nn::Module& module, const std::string& path, bool is_root) {
  auto& target = dynamic_cast<Node&>(module);
  target.set_path(path);
  bound_nodes_.emplace_back(node, is_root);
  bound_nodes_.back().bind(target);
  const auto full_name = [&path](const std::string& name) {
    return path.empty() ? name : path + "." + name;
  };
  for (const auto& [name, member] : target.attributes()) {
    const py::object value = node.attr(name.c_str());
    std::visit(SetAttribute{target, value, full_name(name)}, member);
    bound_nodes_.back().keep(value);
  }
  module.train(node.attr("training").cast<bool>()); // those below have their own, set later

  const auto children = node.attr("_modules").cast<py::dict>();
  for (const auto& child : module.named_children()) {
    const auto child_path = full_name(child.key());
    if (!children.contains(child.key()) || children[child.key().c_str()].is_none()) {
      attach_missing(*child.value(), child_path);
    } else {
      attach(children[child.key().c_str()], *child.value(), child_path);
    }
  }
}

void Twin::attach_missing(torch::nn::Module& module, const std::string& path) {
  auto* list = dynamic_cast<ListNode*>(&module);
  if (list == nullptr)
    return override_of(module).raise_missing(module, path);
  if (dynamic_cast<ParameterListImpl*>(&module) != nullptr)
    throw py::attribute_error("The model has no parameters `" + path + "`.");
  // A list is never called, only its items.
  list->resize(1);
  override_of(*module.children().front()).raise_missing(*module.children().front(), path);
}

void Twin::walk_list(py::handle node, torch::nn::Module& module, const std::string& path) {
  if (!py::isinstance(node, node_kind_of(module).cls)) {
    throw py::type_error("`" + path + "` must be an nn." + kind_of(module) + ", but is " +
                         type_with_article(node) + ".");
  }
  bound_nodes_.emplace_back(node, /*is_root=*/false);
  auto& list = dynamic_cast<ListNode&>(module);
  if (dynamic_cast<ParameterListImpl*>(&module) != nullptr) {
    list.resize(py::len(node));
    if (!bound_nodes_.back().bind(list))
      throw py::type_error("`" + path + "` must hold nn.Parameters by number, but holds " +
                           unfit_parameter(node) + ".");
    return;
  }
  const auto items = node.attr("_modules").cast<py::dict>();
  if (items.empty())
    throw py::value_error("`" + path + "` must hold at least one module, but is empty.");
  list.resize(items.size());
  const auto modules = module.children();
  size_t i = 0;
  for (const auto& [name, item] : items) {
    attach(item, *modules[i], path + "." + name.cast<std::string>());
    ++i;
  }
}

void Twin::attach(py::handle child, torch::nn::Module& module, const std::string& path) {
  if (dynamic_cast<ListNode*>(&module) != nullptr)
    return walk_list(child, module, path);
  if (!global_hooks_ && runs_in_cpp(child, module)) {
    dynamic_cast<Node&>(module).clear_override();
    remember_class(child);
    drop_bridge(child);
    return walk(child, module, path, /*is_root=*/false);
  }
  override_of(module).call_node(module, child, path);
  called_nodes_.push_back({py::reinterpret_borrow<py::object>(child), &module});
}

void Twin::remember_class(py::handle node) {
  const auto type = type_of(node);
  const auto found = std::find_if(classes_.begin(), classes_.end(),
                                  [type](const auto& known) { return known.type.is(type); });
  if (found == classes_.end())
    classes_.push_back({py::reinterpret_borrow<py::object>(type), forward_of(type)});
}

bool Twin::same_structure() const {
  return global_hooks_ == any(known().global_hooks) &&
         std::all_of(
             classes_.begin(), classes_.end(),
             [](const BoundClass& known) { return forward_of(known.type).is(known.forward); }) &&
         std::all_of(bound_nodes_.begin(), bound_nodes_.end(),
                     [](const BoundNode& node) { return node.same_structure(); }) &&
         (global_hooks_ ||
          std::none_of(called_nodes_.begin(), called_nodes_.end(), [](const CalledNode& called) {
            return runs_in_cpp(called.node, *called.module);
          }));
}

bool Twin::same_tensors() const {
  return std::all_of(bound_nodes_.begin(), bound_nodes_.end(),
                     [](const BoundNode& node) { return node.same_tensors(); });
}

bool Twin::rebind() {
  return std::all_of(bound_nodes_.begin(), bound_nodes_.end(),
                     [](BoundNode& node) { return node.same_tensors() || node.rebind(); });
}

py::object Twin::forward(const py::args& args) const { return forward_(*args); }

int Twin::visit(visitproc visit, void* arg) const {
  Py_VISIT(module_.ptr());
  Py_VISIT(forward_.ptr());
  for (const auto& node : bound_nodes_) {
    if (const int result = node.visit(visit, arg))
      return result;
  }
  for (const auto& called : called_nodes_)
    Py_VISIT(called.node.ptr());
  for (const auto& known : classes_) {
    Py_VISIT(known.type.ptr());
    Py_VISIT(known.forward.ptr());
  }
  return 0;
}

std::shared_ptr<Twin> Bridge::bound_twin(const py::object& node) {
  auto twin = twin_;
  const bool same = twin && twin->same_structure();
  if (!same || !twin->same_tensors()) {
    twin_.reset();
    // A pass that runs in another thread or in an outer call keeps the twin it started with.
    const bool fresh = !twin || twin.use_count() > 1;
    if (fresh) {
      if (!py::hasattr(node, "_make_twin")) {
        throw py::type_error("`self` must be a module of this package, but is " +
                             type_with_article(node) +
                             ": derive its class from the one whose `forward` it calls.");
      }
      twin = std::make_shared<Twin>(call_uncompiled(node.attr("_make_twin")));
    }
    if (fresh || !same || !twin->rebind())
      twin->rebuild(node);
    // Swapped, not assigned: destroying a twin may let another thread run, which must find a whole
    // pointer here.
    auto displaced = twin;
    twin_.swap(displaced);
  }
  return twin;
}

py::object Bridge::call(const py::object& node, const py::args& args) {
  return bound_twin(node)->forward(args);
}

namespace {

/// The bridge of `node`, made if it has none.
py::object bridge_of(py::handle node) {
  const auto attributes = dict_of(node);
  auto* found = PyDict_GetItemWithError(attributes.ptr(), bridge_key());
  if (found != nullptr && py::isinstance<Bridge>(found) &&
      py::cast<Bridge&>(py::handle(found)).belongs_to(node))
    return py::reinterpret_borrow<py::object>(found);
  auto bridge = py::type::of<Bridge>()(node);
  if (PyDict_SetItem(attributes.ptr(), bridge_key(), bridge.ptr()) != 0)
    throw py::error_already_set();
  return bridge;
}

/// An object rather than a function: torch.compile breaks the graph at a call of either, but warns
/// about a builtin function that it cannot trace.
struct Run {
  py::object operator()(const py::object& node, const py::args& args) const {
    const auto bridge = bridge_of(node);
    return py::cast<Bridge&>(bridge).call(node, args);
  }
};

} // namespace

py::object bound_module(const py::object& node) {
  return py::cast<Bridge&>(bridge_of(node)).bound_twin(node)->module();
}

void register_bridge(py::module_& m) {
  py::class_<Run>(m, "Run", "Computes the forward pass of a node in C++, through its bridge.")
      .def(py::init<>())
      .def("__call__", &Run::operator(), py::arg("node"));

  py::class_<Bridge>(m, "Bridge", "Connects a node to the C++ modules that compute it.",
                     py::custom_type_setup([](PyHeapTypeObject* heap_type) {
                       // Lets the garbage collector find the Python objects that a twin references.
                       auto* type = &heap_type->ht_type;
                       type->tp_flags |= Py_TPFLAGS_HAVE_GC;
                       type->tp_traverse = [](PyObject* self, visitproc visit, void* arg) {
                         Py_VISIT(Py_TYPE(self));
                         // The collector may run before __init__ has.
                         if (!py::detail::is_holder_constructed(self))
                           return 0;
                         return py::cast<Bridge&>(py::handle(self)).visit(visit, arg);
                       };
                       type->tp_clear = [](PyObject* self) {
                         if (py::detail::is_holder_constructed(self))
                           py::cast<Bridge&>(py::handle(self)).clear();
                         return 0;
                       };
                     }))
      .def(py::init<py::handle>(), py::arg("node"))
      // Copies and pickles of a node do not include its bridge; they make their own when called.
      .def("__reduce__",
           [](const Bridge&) { return py::make_tuple(py::type::of(py::none()), py::tuple()); });
}

} // namespace ptbert::python
