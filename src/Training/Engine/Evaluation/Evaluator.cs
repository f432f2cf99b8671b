using System.Text.Json;
using System.Text.Json.Serialization;
using Phi3VCluster.Spec;
using Phi3VCluster.Training.Collectives;
using Phi3VCluster.Training.Data;

namespace Phi3VCluster.Training.Engine;

/// <summary>Loss and metric over the held-out samples, whose groups are dealt over the ranks.</summary>
internal sealed class Evaluator(SampleScorer scorer, IDatasetReader data, ICollective collective, string metric)
{
    private static readonly JsonSerializerOptions Message = new() { NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals };

    /// <returns>The same on every rank.</returns>
    /// <exception cref="OperationCanceledException">The rank was aborted.</exception>
    public EvaluationResult Run(CancellationToken stop)
    {
        var (first, stride) = (collective.Rank, collective.WorldSize);
        int[] groups = [.. Enumerable.Range(0, SampleScorer.GroupCount(data)).Where(group => group % stride == first)];
        var mine = scorer.Score(data, groups, stop).ToList();
        var all = RankMessages.Exchange(collective, JsonSerializer.SerializeToUtf8Bytes(mine, Message))
            .SelectMany(bytes => JsonSerializer.Deserialize<List<ScoredSample>>(bytes, Message)!)
            .OrderBy(sample => sample.Index)
            .ToList();
        var loss = all.Average(sample => sample.Loss!.Value);
        return new(metric, metric == EvaluationSpec.Loss ? loss : all.Average(sample => sample.Scores[0]), loss,
            [.. all.Select(sample => new EvaluatedSample(sample.Index, sample.Id, sample.Loss!.Value, sample.Prediction, sample.Answers,
                sample.Scores.Count > 0 ? sample.Scores[0] : null))]);
    }
}
