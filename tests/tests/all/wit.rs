//! The reference of the interface says what its files say: every function, type and field, with what is written above it.

use std::fmt::Write as _;

use stepwright_tests::processes::root;
use wit_parser::{
    Docs, Function, Interface, InterfaceId, Resolve, Type, TypeDef, TypeDefKind, World, WorldItem,
};

/// What stands above it in the document is written by hand.
const MARK: &str = "<!-- Printed from wit/step-0.1.0, and tested to equal it. -->\n";

#[test]
fn the_reference_of_the_interface_is_what_its_files_say() {
    let path = root().join("docs/reference/wit.md");
    let text = std::fs::read_to_string(&path).expect("text");
    let (by_hand, printed) = text.split_once(MARK).expect("the mark");
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(root().join("wit/step-0.1.0")).expect("it parses");
    let world = &resolve.worlds[resolve.packages[package].worlds["plugin"]];
    let expect = of_world(&resolve, world);
    assert!(
        printed == expect,
        "{} differs from the interface; after the mark it should be:\n{expect}",
        path.display()
    );
    // What may be relied on is said of everything that a handler calls, or is told.
    for interface in world.imports.values().chain(world.exports.values()).map(interface) {
        for name in resolve.interfaces[interface].functions.keys() {
            let is_said = by_hand.contains(&format!("`{name}"));
            assert!(is_said, "nothing is said of what may be relied on with '{name}'");
        }
    }
}

fn interface(item: &WorldItem) -> InterfaceId {
    match item {
        WorldItem::Interface { id, .. } => *id,
        WorldItem::Function(_) | WorldItem::Type { .. } => panic!("the world has interfaces only"),
    }
}

fn of_world(resolve: &Resolve, world: &World) -> String {
    let mut text = format!("\n## World `{}`\n\n{}\n", world.name, docs(&world.docs));
    for (how, items) in [("Exported", &world.exports), ("Imported", &world.imports)] {
        for id in items.values().map(interface) {
            text.push_str(&of_interface(resolve, how, &resolve.interfaces[id]));
        }
    }
    text
}

fn of_interface(resolve: &Resolve, how: &str, interface: &Interface) -> String {
    let name = interface.name.as_deref().expect("a name");
    let mut text = format!("\n## {how}: `{name}`\n\n{}\n", docs(&interface.docs));
    for function in interface.functions.values() {
        text.push_str(&of_function(resolve, function));
    }
    for (name, id) in &interface.types {
        text.push_str(&of_type(resolve, name, &resolve.types[*id]));
    }
    text
}

fn of_function(resolve: &Resolve, function: &Function) -> String {
    let parameters =
        function.params.iter().map(|given| format!("{}: {}", given.name, named(resolve, &given.ty)));
    let parameters = parameters.collect::<Vec<_>>().join(", ");
    let result = function.result.as_ref().map(|result| format!(" -> {}", named(resolve, result)));
    let result = result.unwrap_or_default();
    format!("\n### `{}: func({parameters}){result}`\n\n{}\n", function.name, docs(&function.docs))
}

/// Types that an interface uses from another one are shown there.
fn of_type(resolve: &Resolve, name: &str, defined: &TypeDef) -> String {
    let rows: Vec<(String, String, &Docs)> = match &defined.kind {
        TypeDefKind::Type(Type::Id(_)) => return String::new(),
        TypeDefKind::Type(plain) => {
            let what = named(resolve, plain);
            return format!("\n### type `{name} = {what}`\n\n{}\n", docs(&defined.docs));
        }
        TypeDefKind::Record(record) => {
            let fields = record.fields.iter();
            fields.map(|field| (field.name.clone(), named(resolve, &field.ty), &field.docs)).collect()
        }
        TypeDefKind::Variant(variant) => {
            let inner =
                |case: &wit_parser::Case| case.ty.as_ref().map_or_else(String::new, |ty| named(resolve, ty));
            variant.cases.iter().map(|case| (case.name.clone(), inner(case), &case.docs)).collect()
        }
        TypeDefKind::Enum(cases) => {
            let names: Vec<String> = cases.cases.iter().map(|case| format!("`{}`", case.name)).collect();
            return format!("\n### enum `{name}`\n\n{}One of {}.\n", above(&defined.docs), names.join(", "));
        }
        other => panic!("{name}: {} has no place in the reference yet", other.as_str()),
    };
    let mut text = format!("\n### {} `{name}`\n\n{}", defined.kind.as_str(), above(&defined.docs));
    text.push_str("| | type | |\n|---|---|---|\n");
    for (name, of, docs) in rows {
        let of = if of.is_empty() { of } else { format!("`{of}`") };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "| `{name}` | {of} | {} |", self::docs(docs));
    }
    text
}

/// A type as the files write it.
fn named(resolve: &Resolve, ty: &Type) -> String {
    let Type::Id(id) = ty else {
        return match ty {
            Type::Bool => "bool",
            Type::U32 => "u32",
            Type::U64 => "u64",
            Type::F64 => "f64",
            Type::String => "string",
            other => panic!("{other:?} has no name in the reference yet"),
        }
        .to_owned();
    };
    let defined = &resolve.types[*id];
    if let Some(name) = &defined.name {
        return name.clone();
    }
    let optional = |ty: &Option<Type>| ty.as_ref().map_or_else(|| "_".to_owned(), |ty| named(resolve, ty));
    match &defined.kind {
        TypeDefKind::List(of) => format!("list<{}>", named(resolve, of)),
        TypeDefKind::Option(of) => format!("option<{}>", named(resolve, of)),
        TypeDefKind::Result(of) => format!("result<{}, {}>", optional(&of.ok), optional(&of.err)),
        other => panic!("{} has no name in the reference yet", other.as_str()),
    }
}

/// What is written above something, as a paragraph.
fn above(docs: &Docs) -> String {
    let text = self::docs(docs);
    if text.is_empty() { text } else { text + "\n\n" }
}

fn docs(docs: &Docs) -> String {
    docs.contents
        .as_deref()
        .unwrap_or_default()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', "\\|")
}
