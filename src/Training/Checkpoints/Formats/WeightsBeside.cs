namespace Phi3VCluster.Training.Checkpoints;

/// <summary>
/// Weights beside an adapter that nobody reads: LLaVA and its kin save a projector they trained whole as <c>non_lora_trainables.bin</c>.
/// Without them it is another model than was trained, so they are refused and not passed over.
/// </summary>
internal static class WeightsBeside
{
    /// <summary>Beginnings of the names of what a trainer keeps for itself, or of another form of the same adapter or model.</summary>
    private static readonly string[] Harmless =
    [
        "adapter_model.", "optimizer", "scheduler", "scaler", "rng_state", "random_states", "training_args", "trainer_state", "sampler",
        "custom_checkpoint", "zero_pp_rank", "bf16_zero_pp_rank", "mp_rank", "model.safetensors", "model-0", "pytorch_model.",
        "pytorch_model-0",
    ];

    public static IEnumerable<string> Problems(string folder)
    {
        if (!Directory.Exists(folder)) yield break;
        foreach (var path in Directory.EnumerateFiles(folder).Order(StringComparer.Ordinal))
        {
            var name = Path.GetFileName(path);
            var isWeights = name.EndsWith(".safetensors", StringComparison.Ordinal) || CheckpointFolder.IsPickle(name);
            if (isWeights && !Harmless.Any(start => name.StartsWith(start, StringComparison.Ordinal)))
                yield return $"{path}: holds weights beside the adapter that are not read, "
                    + "so that the result would not be what was trained; "
                    + "merge with the program that trained it, or move the file away if it is not of this adapter.";
        }
    }
}
