using System.Text.Json;
using Phi3VCluster.Spec;
using Phi3VCluster.Training.Collectives;
using Phi3VCluster.Training.Data;
using Phi3VCluster.Training.Evaluation;
using Phi3VCluster.Training.Model;
using Phi3VCluster.Training.Processing;
using static TorchSharp.torch;

namespace Phi3VCluster.Training.Engine;

/// <summary>Asks the model every held-out question, dealt over the ranks, and scores the answers.</summary>
internal sealed class Evaluator(
    Phi3VModel model, Tokenizer tokenizer, SampleEncoder encoder, IDatasetReader data, ICollective collective, EvaluationSpec spec)
{
    private const string EndOfText = "<|endoftext|>";

    private readonly long _endOfText = tokenizer.IdOf(EndOfText)
        ?? throw new InputException($"model.path: the tokenizer has no {EndOfText}; use the tokenizer.json of a Phi-3-Vision checkpoint.");
    private readonly IMetric _metric = Catalog<IMetric>.Find(spec.Metric, "evaluation.metric");

    /// <returns>The same on every rank.</returns>
    /// <exception cref="OperationCanceledException">The rank was aborted.</exception>
    public EvaluationResult Run(CancellationToken stop)
    {
        var mine = new List<EvaluatedSample>();
        for (var i = collective.Rank; i < data.Count; i += collective.WorldSize)
        {
            stop.ThrowIfCancellationRequested();
            mine.Add(Ask(i, stop));
        }
        var all = RankMessages.Exchange(collective, JsonSerializer.SerializeToUtf8Bytes(mine))
            .SelectMany(bytes => JsonSerializer.Deserialize<List<EvaluatedSample>>(bytes)!)
            .OrderBy(sample => sample.Index)
            .ToList();
        return new(_metric.Name, all.Count == 0 ? 0 : all.Average(sample => sample.Score), all);
    }

    private EvaluatedSample Ask(int index, CancellationToken stop)
    {
        using var scope = NewDisposeScope();
        var sample = data.Read(index);
        var prompt = ModelInputs.From(encoder.EncodeForEvaluation(sample), CPU);
        var generated = model.Generate([prompt], new() { MaxNewTokens = spec.MaxNewTokens, StopIds = [_endOfText] }, stop)[0];
        var prediction = tokenizer.Decode([.. generated.Tokens], skipSpecial: true);
        var answers = sample.Turns[^1].Answers;
        return new(index, sample.Id, prediction, answers, _metric.Score(prediction, answers));
    }
}
