using System.Diagnostics;
using Phi3VCluster.Spec;
using Phi3VCluster.Spec.Jobs;
using Phi3VCluster.Training.Data;
using Phi3VCluster.Training.Processing;
using Phi3VConfig = Phi3VCluster.Training.Model.Phi3VConfig;

namespace Phi3VCluster.Training.Engine.Jobs;

/// <summary>One greedy answer to a prompt with images.</summary>
internal static class GenerateRunner
{
    private const string Id = "prompt"; // what messages call it

    /// <param name="publish">(phase, done, total).</param>
    /// <exception cref="InputException">The model, an image or the prompt is wrong.</exception>
    public static GenerateResult Run(GenerateJob job, Action<string, int, int> publish, CancellationToken stop)
    {
        var loading = Stopwatch.GetTimestamp();
        var tokenizer = Tokenizer.Load(job.Model);
        if (tokenizer.BeyondWeights(tokenizer.Encode(job.Prompt, addBos: false), Phi3VConfig.Read(job.Model).VocabularySize) is { } problem)
            throw new InputException($"--prompt: {problem}.");
        using var model = LoadedModel.Load(job, tokenizer);
        var started = Stopwatch.GetTimestamp();
        stop.ThrowIfCancellationRequested();
        publish("answering", 0, 0);
        var prompt = Encode(job, model);
        if (prompt.InputIds.Length + job.MaxNewTokens > model.MaxTokens)
            throw new InputException($"--max-new-tokens: the model's context is {model.MaxTokens} tokens and the prompt takes "
                + $"{prompt.InputIds.Length} of them, got {job.MaxNewTokens}; lower it, or shorten the prompt.");
        var answer = model.Ask(prompt, job.MaxNewTokens, stop, job.IgnoreEndOfText);
        return new(answer.Text, answer.Tokens, answer.LogProbabilities, prompt.InputIds.Length,
            [.. Enumerable.Range(1, job.Images.Count).Select(image => TokensOf(image, prompt.InputIds))],
            Stopwatch.GetElapsedTime(started).TotalSeconds, Stopwatch.GetElapsedTime(loading, started).TotalSeconds)
        {
            FinishReason = answer.FinishReason,
            Precision = model.Precision,
            NumCrops = model.NumCrops,
            Notes = model.Notes,
        };
    }

    private static EncodedSample Encode(GenerateJob job, LoadedModel model)
    {
        var images = job.Images.Select(path => FileImage.Find("", path, out var problem)
            ?? throw new InputException($"--image: {problem}, got {path}; give an image file.")).ToList();
        return job.IsRaw
            ? model.Encoder.EncodePrompt(Id, job.Prompt, images)
            : model.Encoder.EncodeForEvaluation(new(Id, [new(images, job.Prompt, [])]));
    }

    /// <summary>The length of the image's first run of placeholders; a prompt may show an image twice.</summary>
    private static int TokensOf(int image, long[] ids) =>
        ids.SkipWhile(id => id != -image).TakeWhile(id => id == -image).Count();
}
