using System.Text.Json;
using Phi3VCluster.Spec;
using Phi3VCluster.Training.Collectives;
using Phi3VCluster.Training.Data;
using Phi3VCluster.Training.Evaluation;
using Phi3VCluster.Training.Model;
using Phi3VCluster.Training.Processing;

namespace Phi3VCluster.Training.Engine;

/// <summary>Asks the model every held-out question, dealt over the ranks, and scores the answers.</summary>
internal sealed class Evaluator(
    Phi3VModel model, ModelInputs inputs, Tokenizer tokenizer, SampleEncoder encoder, IDatasetReader data, ICollective collective, EvaluationSpec spec)
{
    private readonly Answerer _model = new(model, inputs, tokenizer);
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
        var sample = data.Read(index);
        var prediction = _model.Ask(encoder.EncodeForEvaluation(sample), spec.MaxNewTokens, stop).Text;
        var answers = sample.Turns[^1].Answers;
        return new(index, sample.Id, prediction, answers, _metric.Score(prediction, answers));
    }
}
