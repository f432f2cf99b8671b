using Orleans.Runtime;
using Phi3VCluster.Client.Cluster;

namespace Phi3VCluster.Client.Tests.Cluster;

/// <summary>Who is asked of the nodes, and how one that hangs is gone around.</summary>
public sealed class ClusterMembersTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    [Fact]
    public void Who_was_there_a_moment_ago_is_gone_unless_it_is_back()
    {
        var now = new DateTime(2026, 1, 2, 3, 4, 5, DateTimeKind.Utc);
        MembershipEntry Silo(string name, SiloStatus status, int secondsAgo) =>
            new() { SiloName = name, Status = status, IAmAliveTime = now.AddSeconds(-secondsAgo) };

        var members = ClusterMembers.Of(
        [
            Silo("n2", SiloStatus.Active, 3), Silo("n1", SiloStatus.Active, 0), Silo("n1", SiloStatus.Dead, 20), // restarted
            Silo("n3", SiloStatus.Dead, 59), Silo("n4", SiloStatus.Dead, 61), Silo("n5", SiloStatus.ShuttingDown, 5),
            Silo("n6", SiloStatus.Joining, 1),
        ]);

        Assert.Equal(["n1", "n2"], members.Active);
        Assert.Equal(["n3", "n5"], members.Gone);
    }

    [Fact]
    public async Task A_question_that_is_not_answered_is_asked_again_and_the_first_answer_counts()
    {
        var asked = 0;
        var never = new TaskCompletionSource<string>();

        var answer = await OtherKeys.AskAsync(
            () => ++asked < 3 ? never.Task : Task.FromResult("here"), most: 100, Patience, CancellationToken.None);

        Assert.Equal(("here", 3), (answer, asked));
    }

    [Fact]
    public async Task What_is_said_twice_is_believed()
    {
        var asked = 0;
        Task<string> Refuse() => Task.FromException<string>(new InvalidOperationException($"{++asked}"));

        var error = await Assert.ThrowsAsync<InvalidOperationException>(
            () => OtherKeys.AskAsync(Refuse, most: 100, Patience, CancellationToken.None));

        Assert.Equal("2", error.Message);
    }

    [Fact]
    public async Task Nobody_is_waited_for_any_longer_than_that() => await Assert.ThrowsAsync<TimeoutException>(() => OtherKeys.AskAsync(
        () => new TaskCompletionSource<string>().Task, most: 3, TimeSpan.FromMilliseconds(30), CancellationToken.None));
}
