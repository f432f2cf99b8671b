namespace Phi3VCluster.Spec.Reading;

/// <summary>A YAML value and where it stood. Our own tree, because YamlDotNet's stops at the first duplicate key.</summary>
/// <param name="Line">From 1; 0 for a value that was not in the file (<c>--set</c>).</param>
internal abstract record SpecNode(int Line);

/// <param name="Quoted">Text for certain: never a number, a boolean or null.</param>
internal sealed record SpecScalar(string Text, bool Quoted, int Line) : SpecNode(Line)
{
    public bool IsNull => !Quoted && Text is "" or "~" or "null" or "Null" or "NULL";
}

internal sealed record SpecList(IReadOnlyList<SpecNode> Items, int Line) : SpecNode(Line);

internal sealed record SpecMapping(IReadOnlyList<KeyValuePair<SpecScalar, SpecNode>> Entries, int Line) : SpecNode(Line)
{
    public SpecNode? Find(string key) => Entries.LastOrDefault(e => e.Key.Text == key).Value;

    /// <summary>The same mapping with one entry put in place of those of its name.</summary>
    public SpecMapping With(string key, SpecNode value) =>
        this with { Entries = [.. Entries.Where(e => e.Key.Text != key), new(new SpecScalar(key, false, value.Line), value)] };
}
