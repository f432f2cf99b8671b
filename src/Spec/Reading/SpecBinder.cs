using System.Globalization;
using System.Reflection;

namespace Phi3VCluster.Spec.Reading;

/// <summary>
/// <see cref="SpecNode"/> → record. Never stops at a mistake: what cannot be read keeps its default, and the problem is noted with
/// its path, so that values which are wrong in themselves can be found in the same pass.
/// </summary>
internal sealed class SpecBinder(List<string> problems)
{
    private readonly NullabilityInfoContext _nullability = new(); // one a reading: it is not for several threads

    public T Bind<T>(SpecNode root) where T : new() => (T)Section(root, typeof(T), path: "");

    private object Section(SpecNode node, Type record, string path)
    {
        var section = Activator.CreateInstance(record)!;
        if (node is not SpecMapping mapping)
        {
            var keys = string.Join(", ", SpecKeys.Of(record).Select(k => k.Key));
            Note(path.Length == 0 ? "spec" : path, $"must hold keys{At(node)}, got {Shown(node)}; use {keys}.");
            return section;
        }

        var known = SpecKeys.Of(record).ToDictionary(k => k.Key, k => k.Property);
        foreach (var same in mapping.Entries.GroupBy(e => e.Key.Text))
        {
            var (key, value) = same.Last();
            var here = SpecKeys.Join(path, same.Key);
            if (same.Count() > 1)
                Note(here, $"is given {same.Count()} times (lines {string.Join(", ", same.Select(e => e.Key.Line))}); keep one.");
            if (known.TryGetValue(same.Key, out var property)) Set(section, property, value, here);
            else Note(here, $"unknown key{At(key)}; {SpecKeys.Advice(same.Key, record, path)}");
        }
        return section;
    }

    private void Set(object section, PropertyInfo property, SpecNode node, string path)
    {
        var type = property.PropertyType;
        var optional = Nullable.GetUnderlyingType(type) is not null
            || (!type.IsValueType && _nullability.Create(property).WriteState == NullabilityState.Nullable);
        if (optional && node is SpecScalar { IsNull: true }) property.SetValue(section, null);
        else if (SpecKeys.IsSection(type)) property.SetValue(section, Section(node, type, path));
        else if (type == typeof(IReadOnlyList<double>)) SetList<double>(section, property, node, path, "numbers", "[0.9, 0.95]");
        else if (type == typeof(IReadOnlyList<string>)) SetList<string>(section, property, node, path, "names", "[qkv_proj, o_proj]");
        else if (Scalar(node, Nullable.GetUnderlyingType(type) ?? type, optional, path, out var value)) property.SetValue(section, value);
    }

    private void SetList<T>(object section, PropertyInfo property, SpecNode node, string path, string what, string example)
    {
        if (node is not SpecList list)
        {
            Note(path, $"must be a list of {what}{At(node)}, got {Shown(node)}; write it as {example}.");
            return;
        }
        var (items, before) = (new List<T>(), problems.Count);
        foreach (var (item, i) in list.Items.Select((item, i) => (item, i)))
            if (Scalar(item, typeof(T), optional: false, $"{path}[{i}]", out var value)) items.Add((T)value!);
        if (problems.Count == before) property.SetValue(section, items.ToArray());
    }

    private bool Scalar(SpecNode node, Type type, bool optional, string path, out object? value)
    {
        value = null;
        var scalar = node as SpecScalar;
        var plain = scalar is { Quoted: false, IsNull: false } ? scalar.Text : null;
        if (type == typeof(string))
        {
            value = scalar is null or { IsNull: true } ? null : scalar.Text;
            return value is not null || Wrong("text", "");
        }
        if (type == typeof(bool))
        {
            value = plain switch { "true" or "True" or "TRUE" => true, "false" or "False" or "FALSE" => false, _ => null };
            return value is not null || Wrong("true or false", "write true or false");
        }
        if (type == typeof(int))
        {
            if (optional && plain == "auto") return true;
            value = int.TryParse(plain, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var whole) ? whole : null;
            return value is not null
                || Wrong(optional ? "auto or a whole number" : "a whole number", $"write a number up to {int.MaxValue}");
        }
        value = double.TryParse(plain, NumberStyles.Float, CultureInfo.InvariantCulture, out var real)
            && double.IsFinite(real) && !(real == 0 && plain!.Split('e', 'E')[0].Any(digit => digit is >= '1' and <= '9')) ? real : null;
        return value is not null || Wrong("a number", "write it as 0.0002 or 2.0e-4");

        bool Wrong(string what, string advice)
        {
            if (scalar is { Quoted: true }) advice = "remove the quotes";
            Note(path, $"must be {what}{At(node)}, got {Shown(node)}; {(advice.Length > 0 ? advice : $"write {what}")}.");
            return false;
        }
    }

    private void Note(string path, string text) => problems.Add($"{path}: {text}");

    private static string At(SpecNode node) => node.Line > 0 ? $" (line {node.Line})" : "";

    private static string Shown(SpecNode node) => node switch
    {
        SpecScalar { IsNull: true } => "nothing",
        SpecScalar { Quoted: true } quoted => $"the text \"{quoted.Text}\"",
        SpecScalar plain => plain.Text,
        SpecList => "a list",
        _ => "a section with keys",
    };
}
