namespace Phi3VCluster.Spec;

/// <summary>
/// The user's input is wrong. Carries every problem found, each as "where: what is wrong, got X; do Y.", so that all can be
/// mended at once. The CLI prints them and exits 2.
/// </summary>
public class InputException(IReadOnlyList<string> problems) : Exception(string.Join(Environment.NewLine, problems))
{
    public InputException(string problem) : this([problem]) { }

    public IReadOnlyList<string> Problems { get; } = problems;
}
