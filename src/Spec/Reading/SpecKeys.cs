using System.Reflection;
using System.Text.Json;

namespace Phi3VCluster.Spec.Reading;

/// <summary>The keys of a record of the spec: its properties in camelCase.</summary>
internal static class SpecKeys
{
    public static IEnumerable<(string Key, PropertyInfo Property)> Of(Type record) => record
        .GetProperties(BindingFlags.Public | BindingFlags.Instance)
        .Select(p => (JsonNamingPolicy.CamelCase.ConvertName(p.Name), p));

    /// <summary>Whether values of the type are sections with keys of their own.</summary>
    public static bool IsSection(Type type) => type.IsClass && type.Namespace == typeof(RunSpec).Namespace;

    /// <summary>The paths of all values, e.g. <c>optimizer.learningRate</c>.</summary>
    public static IEnumerable<string> Values(Type record, string prefix = "") => Of(record).SelectMany(k =>
        IsSection(k.Property.PropertyType) ? Values(k.Property.PropertyType, $"{prefix}{k.Key}.") : [prefix + k.Key]);

    /// <summary>The paths of all values and of the sections they are in.</summary>
    public static IEnumerable<string> Paths(Type record, string prefix = "") => Of(record).SelectMany(k =>
        IsSection(k.Property.PropertyType)
            ? Paths(k.Property.PropertyType, $"{prefix}{k.Key}.").Prepend(prefix + k.Key)
            : [prefix + k.Key]);

    /// <summary>What an unknown key's owner may do, as the end of a problem's sentence.</summary>
    public static string Advice(string key, Type record, string path)
    {
        var siblings = Of(record).Select(k => k.Key).ToArray();
        if (Nearest.To(key, siblings) is { } sibling) return $"did you mean {Join(path, sibling)}?";
        var elsewhere = Paths(typeof(RunSpec)).FirstOrDefault(p => Leaf(p).Equals(key, StringComparison.OrdinalIgnoreCase));
        return elsewhere is not null ? $"did you mean {elsewhere}?" : $"use one of {string.Join(", ", siblings)}.";
    }

    public static string Join(string path, string key) => path.Length == 0 ? key : $"{path}.{key}";

    private static string Leaf(string path) => path[(path.LastIndexOf('.') + 1)..];
}
