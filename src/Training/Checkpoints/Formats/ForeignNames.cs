namespace Phi3VCluster.Training.Checkpoints;

/// <summary>
/// Recognises weights that are those of the model in a form that is not read here, by their names: one cause, where each tensor would
/// else be missing under one name and unknown under another.
/// </summary>
internal static class ForeignNames
{
    /// <summary>What libraries that quantise put beside a weight, or in its place.</summary>
    private static readonly string[] OfQuantized =
    [
        ".absmax", ".nested_absmax", ".quant_map", ".nested_quant_map", ".quant_state.bitsandbytes__nf4",
        ".quant_state.bitsandbytes__fp4", ".SCB", ".weight_format", ".qweight", ".qzeros", ".g_idx", ".weight_scale", ".weight_scale_inv",
        ".weight_packed", ".weight_zero_point", ".input_scale",
    ];

    /// <summary>What wrappers of PyTorch and PEFT put between the parts of a name.</summary>
    private static readonly string[] Wrappers =
        ["_fsdp_wrapped_module.", "_checkpoint_wrapped_module.", "_orig_mod.", "base_model.model.", "base_layer.", "module."];

    private const string Inner = "model.";

    /// <param name="names">Those of the files.</param>
    /// <param name="expected">Those of the model.</param>
    /// <returns>What they are and what to do, to follow the folder; null for what is not recognised.</returns>
    public static string? Explain(IReadOnlyCollection<string> names, IReadOnlySet<string> expected)
    {
        var unknown = names.Where(name => !expected.Contains(name)).ToList();
        if (unknown.Count == 0) return null;
        if (unknown.Find(name => OfQuantized.Any(end => name.EndsWith(end, StringComparison.Ordinal))) is { } quantized)
            return $"the weights are quantised already (the tensor {quantized}); give the 16- or 32-bit checkpoint they were made from.";
        if (Most(name => Unwrapped(name) != name && expected.Contains(Unwrapped(name)))) return Wrapped(unknown, expected);
        if (Most(name => expected.Contains(Inner + name)))
            return $"its tensors' names lack the {Inner} they begin with in the whole model, got {unknown[0]}; save it with its head.";
        return Prefix(unknown, expected) is { } prefix
            ? $"{prefix.Count} tensors have names that begin with {prefix.Text}, got {prefix.Example}; "
                + "save the model and not what holds it."
            : null;

        bool Most(Predicate<string> are) => unknown.Count(name => are(name)) > expected.Count / 2;
    }

    private static string Wrapped(List<string> unknown, IReadOnlySet<string> expected)
    {
        var example = unknown.First(name => expected.Contains(Unwrapped(name)));
        var wrapper = Wrappers.First(word => example.Contains(word, StringComparison.Ordinal));
        (string Of, string Advice) whose = wrapper is "base_model.model." or "base_layer."
            ? ("PEFT", "give the model it was trained from, and the adapter as --adapter")
            : ("DistributedDataParallel, DeepSpeed, FSDP or torch.compile", "save the model that it holds, for example model.module");
        return $"its {unknown.Count} tensors have names of {whose.Of} with {wrapper} in them, got {example}; {whose.Advice}.";
    }

    private static string Unwrapped(string name) =>
        Wrappers.Aggregate(name, (rest, word) => rest.Replace(word, "", StringComparison.Ordinal));

    /// <summary>What most unknown names have before one that the model has; a name without its "model." counts too.</summary>
    private static (string Text, int Count, string Example)? Prefix(List<string> unknown, IReadOnlySet<string> expected)
    {
        var found = unknown.Select(name => (Name: name, Prefix: PrefixOf(name, expected))).Where(one => one.Prefix is not null)
            .GroupBy(one => one.Prefix!).MaxBy(group => group.Count());
        return found is not null && found.Count() > expected.Count / 2 ? (found.Key, found.Count(), found.First().Name) : null;
    }

    private static string? PrefixOf(string name, IReadOnlySet<string> expected)
    {
        for (var dot = name.IndexOf('.'); dot > 0; dot = name.IndexOf('.', dot + 1))
        {
            if (expected.Contains(name[(dot + 1)..])) return name[..(dot + 1)];
        }
        return null;
    }
}
