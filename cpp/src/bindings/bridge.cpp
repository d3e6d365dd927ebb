#include "bridge.h"

#include <algorithm>
#include <variant>

#include "module.h"
#include "overrides.h"
#include "ptbert/layers.h"
#include "tensors.h"

namespace ptbert::python {
namespace {

/// What Python told about itself by register_natives().
struct Natives {
  py::dict classes;     // name of a C++ module -> (the Python class of its nodes, its forward)
  py::dict required;    // name of a C++ module -> {attribute: the only value that C++ knows}
  py::dict activations; // Python function -> name of the C++ one
  py::object parameter, tensor, module_list;
  std::array<py::dict, 4> global_hooks;
};

Natives& natives() {
  // Never destroyed: the interpreter is gone when static objects are.
  static auto* registered = new Natives;
  return *registered;
}

constexpr std::array<const char*, 4> kHooks = {"_forward_hooks", "_forward_pre_hooks",
                                               "_backward_hooks", "_backward_pre_hooks"};

PyObject* bridge_key() {
  static PyObject* key = PyUnicode_InternFromString("_bridge");
  return key;
}

py::handle type_of(py::handle value) { return reinterpret_cast<PyObject*>(Py_TYPE(value.ptr())); }

py::object forward_of(py::handle type) {
  static PyObject* key = PyUnicode_InternFromString("forward");
  return py::getattr(type, key);
}

py::dict dict_of(py::handle node) {
  return py::reinterpret_steal<py::dict>(PyObject_GenericGetDict(node.ptr(), nullptr));
}

/// A number that no dict had before its last change, or 0 where Python does not tell (PEP 699).
uint64_t version_of([[maybe_unused]] py::handle dict) {
#if PY_VERSION_HEX < 0x030C0000
  return reinterpret_cast<PyDictObject*>(dict.ptr())->ma_version_tag;
#else
  return 0;
#endif
}

/// Drops the bridge that a node has from being called on its own. It would keep alive what is
/// replaced in the node later; the next call of its own makes another.
void forget_bridge(py::handle node) {
  const auto attributes = dict_of(node);
  if (PyDict_GetItemWithError(attributes.ptr(), bridge_key()) != nullptr)
    PyDict_DelItem(attributes.ptr(), bridge_key());
}

bool any(const std::array<py::dict, 4>& hooks) {
  return std::any_of(hooks.begin(), hooks.end(),
                     [](const py::dict& dict) { return PyDict_GET_SIZE(dict.ptr()) > 0; });
}

/// "ptbert::BertLayerImpl" -> "BertLayer"
std::string class_name(const torch::nn::Module& module) {
  auto name = module.name();
  name = name.substr(name.rfind(':') + 1);
  return name.substr(0, name.size() - std::string("Impl").size());
}

bool is_plain_tensor(py::handle value) {
  const auto type = type_of(value);
  return type.is(natives().parameter) || type.is(natives().tensor);
}

/// Whether `parameters` are those of `module`, none missing and none besides, and plain tensors.
bool can_bind(const py::dict& parameters, const Node& module) {
  const auto& tensors = module.tensors();
  for (const auto& [name, value] : parameters) {
    const bool known = tensors.count(name.cast<std::string>()) > 0;
    if (!value.is_none() && !(known && is_plain_tensor(value)))
      return false;
  }
  return std::all_of(tensors.begin(), tensors.end(), [&parameters](const auto& tensor) {
    return parameters.contains(tensor.first);
  });
}

/// Whether C++ may do the arithmetic of `node` itself, by `module`.
bool is_native(py::handle node, const torch::nn::Module& module) {
  const auto name = class_name(module);
  const auto known = natives().classes[name.c_str()].cast<py::tuple>();
  if (!type_of(node).is(known[0]) || !forward_of(known[0]).is(known[1]))
    return false;
  const auto attributes = dict_of(node);
  if (attributes.contains("forward"))
    return false;
  if (attributes.contains("_compiled_call_impl") && !attributes["_compiled_call_impl"].is_none())
    return false;
  for (const char* hooks : kHooks) {
    if (py::len(attributes[hooks]) > 0)
      return false;
  }
  if (natives().required.contains(name)) {
    for (const auto& [attribute, value] : natives().required[name.c_str()].cast<py::dict>()) {
      if (!py::getattr(node, attribute).equal(value))
        return false;
    }
  }
  return can_bind(attributes["_parameters"], dynamic_cast<const Node&>(module));
}

/// Sets an attribute of a C++ module to the value that its node has.
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
    const auto& known = natives().activations;
    const bool native = known.contains(value);
    module.set_foreign_activation(!native);
    *member =
        native ? activation(known[value].cast<std::string>()) : python_activation(value, path);
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

DictSnapshot::DictSnapshot(py::handle dict) {
  for (const auto& [key, value] : py::reinterpret_borrow<py::dict>(dict)) {
    if (key.ptr() != bridge_key())
      entries_.emplace_back(py::reinterpret_borrow<py::object>(key), value.ptr());
  }
}

bool DictSnapshot::same(py::handle dict) const {
  const auto version = version_of(dict);
  if (version != 0 && version == version_)
    return true;
  PyObject *key = nullptr, *value = nullptr;
  Py_ssize_t position = 0;
  auto entry = entries_.begin();
  while (PyDict_Next(dict.ptr(), &position, &key, &value) != 0) {
    if (key == bridge_key())
      continue;
    if (entry == entries_.end() || key != entry->first.ptr() || value != entry->second)
      return false;
    ++entry;
  }
  if (entry != entries_.end())
    return false;
  version_ = version;
  return true;
}

int DictSnapshot::visit(visitproc visit, void* arg) const {
  for (const auto& [key, value] : entries_)
    Py_VISIT(key.ptr());
  return 0;
}

NativeNode::NativeNode(py::handle node, bool is_root)
    : node_(node), type_(Py_TYPE(node.ptr())), attributes_(dict_of(node)),
      modules_(dict_of(node)["_modules"]), parameters_(dict_of(node)["_parameters"]),
      children_(modules_), parameter_values_(parameters_) {
  if (is_root)
    return;
  keep_alive_ = py::reinterpret_borrow<py::object>(node);
  for (size_t i = 0; i < kHooks.size(); ++i)
    hooks_[i] = dict_of(node)[kHooks[i]];
}

bool NativeNode::same_structure() const {
  return Py_TYPE(node_.ptr()) == type_ && attributes_.same(dict_of(node_)) &&
         children_.same(modules_) && !any(hooks_);
}

bool NativeNode::same_parameters() const {
  return parameter_values_.same(parameters_) &&
         std::all_of(bound_.begin(), bound_.end(), [](const auto& parameter) {
           return THPVariable_Unpack(parameter.first.ptr()).unsafeGetTensorImpl() ==
                  parameter.second;
         });
}

bool NativeNode::bind(Node& module) {
  module_ = &module;
  parameter_values_ = DictSnapshot(parameters_);
  bound_.clear();
  if (keep_alive_ && !can_bind(parameters_, module))
    return false;
  for (const auto& [name, member] : module.tensors()) {
    // Replicas of DataParallel hold their tensors as plain attributes.
    const py::object value = parameters_.contains(name) ? py::object(parameters_[name.c_str()])
                                                        : node_.attr(name.c_str());
    if (value.is_none()) {
      module.bind(name, Tensor());
      continue;
    }
    const auto tensor = to_tensor(name.c_str(), value);
    if (parameters_.contains(name))
      bound_.emplace_back(value, tensor.unsafeGetTensorImpl());
    module.bind(name, tensor);
  }
  return true;
}

int NativeNode::visit(visitproc visit, void* arg) const {
  Py_VISIT(keep_alive_.ptr());
  Py_VISIT(modules_.ptr());
  Py_VISIT(parameters_.ptr());
  for (const auto& hooks : hooks_)
    Py_VISIT(hooks.ptr());
  for (const auto& value : kept_)
    Py_VISIT(value.ptr());
  for (const auto& [parameter, tensor] : bound_)
    Py_VISIT(parameter.ptr());
  for (const auto* snapshot : {&attributes_, &children_, &parameter_values_}) {
    if (const int result = snapshot->visit(visit, arg))
      return result;
  }
  return 0;
}

Twin::Twin(py::object module) : module_(std::move(module)), forward_(module_.attr("forward")) {}

void Twin::rebuild(py::handle root) {
  natives_.clear();
  foreigners_.clear();
  global_hooks_ = any(natives().global_hooks);
  walk(root, *module_.cast<std::shared_ptr<torch::nn::Module>>(), "", /*is_root=*/true);
}

void Twin::walk(py::handle node, torch::nn::Module& module, const std::string& path, bool is_root) {
  auto& target = dynamic_cast<Node&>(module);
  natives_.emplace_back(node, is_root);
  natives_.back().bind(target);
  const auto full_name = [&path](const std::string& name) {
    return path.empty() ? name : path + "." + name;
  };
  for (const auto& [name, member] : target.attributes()) {
    const py::object value = node.attr(name.c_str());
    std::visit(SetAttribute{target, value, full_name(name)}, member);
    natives_.back().keep(value);
  }
  if (module.children().empty())
    module.train(node.attr("training").cast<bool>());

  const auto children = node.attr("_modules").cast<py::dict>();
  for (const auto& child : module.named_children()) {
    const auto child_path = full_name(child.key());
    if (!children.contains(child.key()) || children[child.key().c_str()].is_none()) {
      override_as_missing(*child.value(), child_path);
    } else {
      attach(children[child.key().c_str()], *child.value(), child_path);
    }
  }
}

void Twin::walk_list(py::handle node, torch::nn::Module& module, const std::string& path) {
  if (!py::isinstance(node, natives().module_list)) {
    throw py::type_error("`" + path + "` must be an nn.ModuleList, but is " +
                         type_with_article(node) + ".");
  }
  natives_.emplace_back(node, /*is_root=*/false);
  const auto items = node.attr("_modules").cast<py::dict>();
  if (items.empty())
    throw py::value_error("`" + path + "` must hold at least one module, but is empty.");
  dynamic_cast<ListNode&>(module).resize(items.size());
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
  if (!global_hooks_ && is_native(child, module)) {
    dynamic_cast<Node&>(module).clear_override();
    remember_class(child);
    forget_bridge(child);
    return walk(child, module, path, /*is_root=*/false);
  }
  override_with_python(module, child, path);
  foreigners_.push_back({py::reinterpret_borrow<py::object>(child), &module});
}

void Twin::remember_class(py::handle node) {
  const auto type = type_of(node);
  const auto found = std::find_if(classes_.begin(), classes_.end(),
                                  [type](const auto& known) { return known.type.is(type); });
  if (found == classes_.end())
    classes_.push_back({py::reinterpret_borrow<py::object>(type), forward_of(type)});
}

bool Twin::same_structure() const {
  return global_hooks_ == any(natives().global_hooks) &&
         std::all_of(
             classes_.begin(), classes_.end(),
             [](const NativeClass& known) { return forward_of(known.type).is(known.forward); }) &&
         std::all_of(natives_.begin(), natives_.end(),
                     [](const NativeNode& native) { return native.same_structure(); }) &&
         (global_hooks_ ||
          std::none_of(foreigners_.begin(), foreigners_.end(), [](const ForeignNode& foreign) {
            return is_native(foreign.node, *foreign.module);
          }));
}

bool Twin::same_parameters() const {
  return std::all_of(natives_.begin(), natives_.end(),
                     [](const NativeNode& native) { return native.same_parameters(); });
}

bool Twin::rebind() {
  return std::all_of(natives_.begin(), natives_.end(), [](NativeNode& native) {
    return native.same_parameters() || native.rebind();
  });
}

py::object Twin::forward(const py::args& args) const { return forward_(*args); }

int Twin::visit(visitproc visit, void* arg) const {
  Py_VISIT(module_.ptr());
  Py_VISIT(forward_.ptr());
  for (const auto& native : natives_) {
    if (const int result = native.visit(visit, arg))
      return result;
  }
  for (const auto& foreign : foreigners_)
    Py_VISIT(foreign.node.ptr());
  for (const auto& known : classes_) {
    Py_VISIT(known.type.ptr());
    Py_VISIT(known.forward.ptr());
  }
  return 0;
}

py::object Bridge::call(const py::object& node, const py::args& args) {
  auto twin = twin_;
  const bool same = twin && twin->same_structure();
  if (!same || !twin->same_parameters()) {
    twin_.reset();
    // A pass that another thread or an outer call has under way keeps the twin it started with.
    const bool fresh = !twin || twin.use_count() > 1;
    if (fresh)
      twin = std::make_shared<Twin>(node.attr("_make_native")());
    if (fresh || !same || !twin->rebind())
      twin->rebuild(node);
    twin_ = twin;
  }
  return twin->forward(args);
}

void register_bridge(py::module_& m) {
  m.def(
      "register_natives",
      [](py::dict classes, py::dict required, py::dict activations) {
        const auto nn = py::module_::import("torch.nn");
        const auto module = py::module_::import("torch.nn.modules.module");
        natives() = {
            std::move(classes),
            std::move(required),
            std::move(activations),
            nn.attr("Parameter"),
            py::module_::import("torch").attr("Tensor"),
            nn.attr("ModuleList"),
            {module.attr("_global_forward_hooks"), module.attr("_global_forward_pre_hooks"),
             module.attr("_global_backward_hooks"), module.attr("_global_backward_pre_hooks")}};
      },
      py::arg("classes"), py::arg("required"), py::arg("activations"),
      "Tells which Python classes, attribute values and functions the core computes itself.");

  py::class_<Bridge>(m, "Bridge", "Runs the arithmetic of a node in C++.",
                     py::custom_type_setup([](PyHeapTypeObject* heap_type) {
                       // Python's garbage collector sees through the twin to the nodes, dicts and
                       // values it holds.
                       auto* type = &heap_type->ht_type;
                       type->tp_flags |= Py_TPFLAGS_HAVE_GC;
                       type->tp_traverse = [](PyObject* self, visitproc visit, void* arg) {
                         Py_VISIT(Py_TYPE(self));
                         // The collector may come by before __init__ has run.
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
      .def("belongs_to", &Bridge::belongs_to)
      .def("__call__", &Bridge::call)
      // Copies and pickles of a node come without its bridge, and make their own when they are
      // called.
      .def("__reduce__",
           [](const Bridge&) { return py::make_tuple(py::type::of(py::none()), py::tuple()); });
}

} // namespace ptbert::python
